"""Logs as JSON, a line an event, without anything of what was asked."""

import sys
from typing import TextIO

import structlog
from structlog.tracebacks import ExceptionDictTransformer


def json_logger(file: TextIO | None = None) -> structlog.typing.FilteringBoundLogger:
    """A logger that writes to a file, standard error if none is given.

    Exceptions are written with their stack, but without the values of variables.

    >>> json_logger(sys.stdout).info("request", status=200)     # doctest: +ELLIPSIS
    {"status": 200, "event": "request", "level": "info", "timestamp": "..."}
    """
    render = structlog.processors.ExceptionRenderer(ExceptionDictTransformer(show_locals=False))
    return structlog.wrap_logger(
        structlog.WriteLogger(file or sys.stderr),
        wrapper_class=structlog.make_filtering_bound_logger("info"),
        processors=[structlog.processors.add_log_level,
                    structlog.processors.TimeStamper(fmt="iso", utc=True), render,
                    structlog.processors.JSONRenderer()], cache_logger_on_first_use=True)
