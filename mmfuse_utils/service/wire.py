"""What comes before a request is one: connections, and heads of bounded size that come in time."""

import asyncio
import json

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from mmfuse_utils.service.problems import MEDIA_TYPE, Problem

MOST_HEAD = 32 * 1024       # bytes of a request's line and headers
HEAD_SECONDS = 10.0
MOST_CONNECTIONS = 512


class Wire(HttpToolsProtocol):
    """uvicorn's protocol, which by itself takes heads of any length, and waits for them."""

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Greet a connection, unless there are too many."""
        super().connection_made(transport)
        self._clock, self._in_head, self._n_head = None, True, 0
        if len(self.connections) > MOST_CONNECTIONS:
            self._refuse(Problem(503, "Too many connections.", {"retry-after": "1"}))
        else:
            self._wait_for_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget a connection."""
        self._stop_clock()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """A request begins, maybe on a connection that has had others."""
        super().on_message_begin()
        self._in_head, self._n_head = True, 0
        self._wait_for_head()

    def on_headers_complete(self) -> None:
        """Its head is complete."""
        self._in_head = False
        self._stop_clock()
        super().on_headers_complete()

    def data_received(self, data: bytes) -> None:
        """Read on, as long as the head is not too long."""
        super().data_received(data)
        if self._in_head and not self.transport.is_closing():
            self._n_head += len(data)
            if self._n_head > MOST_HEAD:
                self._refuse(Problem(431, f"The request's head has more than {MOST_HEAD} bytes."))

    def send_400_response(self, msg: str) -> None:
        """What is no HTTP is told so, as other problems are."""
        self._refuse(Problem(400, "This is no valid HTTP request."))

    def _wait_for_head(self) -> None:
        self._stop_clock()
        self._clock = self.loop.call_later(HEAD_SECONDS, self._give_up)

    def _stop_clock(self) -> None:
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None

    def _give_up(self) -> None:
        if not self.transport.is_closing():
            self._refuse(Problem(408, "The request took too long to come."))

    def _refuse(self, problem: Problem) -> None:
        """Answer without having read a request, and close."""
        body = json.dumps(problem.body("none")).encode()
        title = problem.body("none")["title"]
        headers = {"content-type": MEDIA_TYPE, "content-length": len(body),
                   "connection": "close", **problem.headers}
        head = f"HTTP/1.1 {problem.status} {title}\r\n" + "".join(
            f"{name}: {value}\r\n" for name, value in headers.items())
        self.transport.write(f"{head}\r\n".encode() + body)
        self.transport.close()
