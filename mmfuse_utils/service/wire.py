"""What surrounds requests: connections that are bounded in number, size and time, both ways."""

import asyncio
import json

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from mmfuse_utils.service.problems import MEDIA_TYPE, Problem, too_busy

MOST_HEAD = 32 * 1024       # bytes of a request's line and headers, or of what follows a body
HEAD_SECONDS = 10.0         # to send a head, or what comes after an answer and is none
READ_SECONDS = 30.0         # to read an answer
MOST_PIPELINED = 16         # requests that wait on a connection for the answer of an earlier one
MOST_CONNECTIONS = 512


class Wire(HttpToolsProtocol):
    """uvicorn's protocol, which by itself takes heads of any length, and waits for anything."""

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Greet a connection, unless there are too many."""
        super().connection_made(transport)
        self._clock, self._reader_clock = None, None
        self._ended, self._in_body, self._n_idle = True, False, 0
        transport.set_write_buffer_limits(0)        # to be told of every byte that is not read
        if len(self.connections) > MOST_CONNECTIONS:
            self._refuse(Problem(503, "Too many connections.", {"retry-after": "1"}))
        else:
            self._wait_for_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget a connection."""
        self._stop_clock()
        self._stop_reader_clock()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """A request begins, maybe on a connection that has had others."""
        super().on_message_begin()
        self._ended, self._n_idle = False, 0
        self._wait_for_head()

    def on_headers_complete(self) -> None:
        """Its head is complete."""
        self._stop_clock()
        if len(self.pipeline) >= MOST_PIPELINED:
            self._refuse(too_busy(1))
            raise ValueError("too many requests on one connection")     # ends the parsing
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A part of its body, which the guard counts."""
        self._in_body = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        """It has come whole."""
        self._ended = True
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """It is answered; what still comes of it, or before the next one, has an end."""
        super().on_response_complete()
        if self.cycle.response_complete:
            self._stop_clock()
            self._clock = self.loop.call_later(HEAD_SECONDS, self.transport.close)

    def data_received(self, data: bytes) -> None:
        """Read on, as long as there is not too much before a body or after it."""
        self._in_body = False
        super().data_received(data)
        self._n_idle = 0 if self._ended or self._in_body else self._n_idle + len(data)
        if self._n_idle > MOST_HEAD:
            self._refuse(Problem(431, f"The request's head has more than {MOST_HEAD} bytes."))

    def pause_writing(self) -> None:
        """The other side does not read as fast as it is answered."""
        super().pause_writing()
        self._reader_clock = self.loop.call_later(READ_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """It has read all."""
        super().resume_writing()
        self._stop_reader_clock()

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

    def _stop_reader_clock(self) -> None:
        if self._reader_clock is not None:
            self._reader_clock.cancel()
            self._reader_clock = None

    def _give_up(self) -> None:
        self._refuse(Problem(408, "The request took too long to come."))

    def _refuse(self, problem: Problem) -> None:
        """Answer without having read a request, and close."""
        if self.transport.is_closing():
            return
        body = json.dumps(problem.body("none")).encode()
        title = problem.body("none")["title"]
        headers = {"content-type": MEDIA_TYPE, "content-length": len(body),
                   "connection": "close", **problem.headers}
        head = f"HTTP/1.1 {problem.status} {title}\r\n" + "".join(
            f"{name}: {value}\r\n" for name, value in headers.items())
        self.transport.write(f"{head}\r\n".encode() + body)
        self.transport.close()
