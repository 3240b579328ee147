"""Logs as JSON, a line an event, without anything of what was asked."""

import sys
import time
from json.encoder import encode_basestring_ascii as quoted
from typing import TextIO

import structlog
from structlog.tracebacks import ExceptionDictTransformer


class Log:
    """Writes to a file, to standard error if none is given.

    >>> Log(sys.stdout).request("an-id", "GET", "/livez", 200, 1.234)
    {"event": "request", "time": ..., "request": "an-id", "method": "GET", ...}
    """

    def __init__(self, file: TextIO | None = None) -> None:
        self._file = file or sys.stderr
        render = structlog.processors.ExceptionRenderer(
            ExceptionDictTransformer(show_locals=False))    # variables hold what was asked
        self._log = structlog.wrap_logger(
            structlog.WriteLogger(self._file),
            wrapper_class=structlog.make_filtering_bound_logger("info"),
            processors=[structlog.processors.TimeStamper(key="time"), render,
                        structlog.processors.JSONRenderer()])

    def request(self, request: str, method: str, route: str, status: int, milliseconds: float
                ) -> None:
        """An answered request. It is written directly: it comes a thousand times a second."""
        self._file.write(
            f'{{"event": "request", "time": {time.time():.6f}, "request": {quoted(request)}, '
            f'"method": {quoted(method)}, "route": {quoted(route)}, "status": {status}, '
            f'"milliseconds": {milliseconds:.2f}}}\n')
        self._file.flush()

    def failed(self, request: str) -> None:
        """The exception that is being handled, with its stack."""
        self._log.exception("failed", request=request)
