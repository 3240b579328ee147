"""Errors as they are told to clients: problem details, as RFC 9457 has them."""

import json
from collections.abc import Mapping
from http import HTTPStatus

from mmfuse_utils.service.store import StoreError

MEDIA_TYPE = "application/problem+json"


class Problem(Exception):
    """A request is refused: a status of HTTP and a sentence for people, nothing of the inside.

    headers : further ones of the response. more : further entries of the problem's details.

    >>> Problem(404, "There is no such picture.").body("some-id")["title"]
    'Not Found'
    """

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None,
                 **more: object) -> None:
        super().__init__(detail)
        self.status, self.detail, self.headers = status, detail, dict(headers or {})
        self.more = more

    def body(self, request_id: str) -> dict:
        """The details as an object; instance is the request's id."""
        return {"type": "about:blank", "title": HTTPStatus(self.status).phrase,
                "status": self.status, "detail": self.detail, "instance": request_id, **self.more}

    def encoded(self, request_id: str) -> bytes:
        """The details as JSON."""
        return json.dumps(self.body(request_id)).encode()


def too_busy(seconds: int, detail: str = "Too many requests at once; try again in a moment."
             ) -> Problem:
    """503, and when to come back.

    >>> too_busy(1).headers
    {'retry-after': '1'}
    """
    return Problem(503, detail, {"retry-after": str(seconds)})


def of_error(error: Exception) -> Problem:
    """What is told of an error that nobody expected, whatever it says: the log has that.

    >>> of_error(KeyError("secret")).status, of_error(StoreError("secret")).status
    (500, 503)
    """
    if isinstance(error, StoreError):
        return too_busy(5, "The index cannot be reached; try again in a moment.")
    return Problem(500, "Something went wrong here. The log has it under the request's id.")


SCHEMA = {
    "type": "object", "required": ["type", "title", "status", "detail", "instance"],
    "properties": {"type": {"type": "string"}, "title": {"type": "string"},
                   "status": {"type": "integer"}, "detail": {"type": "string"},
                   "instance": {"type": "string"},
                   "allowed": {"type": "array", "items": {"type": "string"}}}}


def described(*statuses: int) -> dict[int, dict]:
    """How OpenAPI describes the problems of an operation.

    >>> list(described(404))
    [404]
    """
    return {status: {"description": HTTPStatus(status).phrase,
                     "content": {MEDIA_TYPE: {"schema": SCHEMA}}} for status in statuses}
