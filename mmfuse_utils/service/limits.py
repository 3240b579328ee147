"""What stands around the service: ids, logs, hosts, bodies, and no more work than fits."""

import asyncio
import os
import re
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from starlette.requests import ClientDisconnect

from mmfuse_utils.service.desk import Desk
from mmfuse_utils.service.logs import Log
from mmfuse_utils.service.meters import Meters
from mmfuse_utils.service.problems import MEDIA_TYPE, Problem, of_error, too_busy
from mmfuse_utils.service.settings import Settings

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

TOKEN = re.compile(rb"[A-Za-z0-9._-]{1,64}\Z")
PORT = re.compile(rb":\d{1,5}\Z")
NONE: Mapping[str, str] = {}
GONE = 499          # as in logs of other servers: the client went away
SECURITY = [
    (b"content-security-policy", b"default-src 'self'; frame-ancestors 'none'; base-uri 'none'; "
     b"form-action 'self'"), (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"), (b"cross-origin-resource-policy", b"same-origin")]


class Guard:
    """ASGI middleware around the whole service; see the module's first line.

    app : what it guards, and the desk in it. meters : where requests are counted.
    quick : functions from the query string to JSON, by their paths. Requests to get these, of
        which there are many, do not go through the application's routes, which takes longer than
        a search.
    """

    def __init__(self, app: Callable, desk: Desk, meters: Meters,
                 quick: Mapping[str, Callable[[bytes], Awaitable[bytes]]]) -> None:
        self.app, self.desk, self.meters, self.quick = app, desk, meters, quick
        self.settings = settings = desk.settings
        self.hosts = frozenset(host.encode() for host in settings.hosts)
        self.log = Log()
        self.n_requests = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, whatever comes."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request = Request(scope, receive, send, self.settings)
        self.n_requests += 1
        self.meters.in_work.inc()
        try:
            self._check(request)
            await self._answer(request)
        except Problem as problem:
            await request.refuse(problem)
        except ClientDisconnect:
            request.status = GONE
        except Exception as error:
            self.log.failed(request.id)
            await request.refuse(of_error(error))
        finally:
            self.n_requests -= 1
            self.meters.in_work.dec()
            self._tell(request)

    async def _answer(self, request: "Request") -> None:
        path = request.scope["path"]
        if path in self.quick and request.scope["method"] == "GET":
            request.route = path
            body = await self.quick[path](request.scope["query_string"])
            await request.reply(200, "application/json", body)
        else:
            await self.app(request.scope, request.receive, request.send)

    def _check(self, request: "Request") -> None:
        if self.n_requests > self.settings.most_requests:
            raise too_busy(self.settings.retry_seconds)
        named = [PORT.sub(b"", value.lower()) for name, value in request.scope["headers"]
                 if name == b"host"]
        if b"*" not in self.hosts and (len(named) != 1 or named[0] not in self.hosts):
            raise Problem(400, "The service is not known by this host name.")
        length = request.headers.get(b"content-length", b"")
        if length.isdigit() and (len(length) > 18 or int(length) > self.settings.most_body):
            raise request.too_long()

    def _tell(self, request: "Request") -> None:
        route = request.route or getattr(request.scope.get("route"), "path", "none")
        seconds = time.perf_counter() - request.start
        self.meters.count(route, request.status, seconds)
        self.log.request(request.id, request.method, route, request.status, 1000 * seconds)


class Request:
    """One request on its way in and its response on its way out."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, settings: Settings) -> None:
        self.start, self.status, self.n_bytes = time.perf_counter(), 0, 0
        self.route: str | None = None
        self._receive, self._send, self.settings = receive, send, settings
        self.headers, self.method = dict(scope["headers"]), scope["method"]
        given = self.headers.get(b"x-request-id", b"")
        self.id = given.decode() if TOKEN.match(given) else os.urandom(16).hex()
        # A HEAD is a GET whose body the server leaves out.
        method = "GET" if self.method == "HEAD" else self.method
        self.scope = {**scope, "method": method, "request_id": self.id}

    async def receive(self) -> Message:
        """A part of the body, if it comes in time and they are not too many."""
        left = self.start + self.settings.body_seconds - time.perf_counter()
        if self.n_bytes < 0:        # the body is complete: what comes now is the end
            return await self._receive()
        try:
            async with asyncio.timeout(max(left, 0)):
                message = await self._receive()
        except TimeoutError:
            raise Problem(408, "The body of the request took too long to come.",
                          {"connection": "close"}) from None
        self.n_bytes += len(message.get("body", b""))
        if self.n_bytes > self.settings.most_body:
            raise self.too_long()
        if not message.get("more_body"):
            self.n_bytes = -1
        return message

    def too_long(self) -> Problem:
        """413; what still comes is not read."""
        return Problem(413, f"The body has more than {self.settings.most_body:,} bytes.",
                       {"connection": "close"})

    async def send(self, message: Message) -> None:
        """Pass a part of the response on, its head with the headers that all have."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message = {**message, "headers": [
                *message.get("headers", ()), (b"x-request-id", self.id.encode()), *SECURITY]}
        elif self.method == "HEAD":
            message = {**message, "body": b""}
        await self._send(message)

    async def refuse(self, problem: Problem) -> None:
        """Answer with a problem's details; too late if an answer has begun."""
        if not self.status:
            await self.reply(problem.status, MEDIA_TYPE, problem.encoded(self.id), problem.headers)

    async def reply(self, status: int, kind: str, body: bytes, headers: Mapping[str, str] = NONE
                    ) -> None:
        """Answer at once."""
        await self.send({"type": "http.response.start", "status": status, "headers": [
            (b"content-type", kind.encode()), (b"content-length", str(len(body)).encode()),
            *((name.encode(), value.encode()) for name, value in headers.items())]})
        await self.send({"type": "http.response.body", "body": body})
