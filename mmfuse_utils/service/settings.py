"""What can be set about the service, in one place, with the values that serve most."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """Limits and sizes of a service.

    hosts : names by which the service may be called, without a port; ("*",) for any. A page of
        another site that points its own name at this machine is refused by it.
    most_body, most_pixels, most_query, most_k : bytes, pixels, characters and hits of a request.
    body_seconds, queue_seconds : how long a body may take to come, and a query may wait and be
        worked on.
    phrase_queue, picture_queue : queries that are worked on or wait; one more is refused.
    phrase_batch, picture_batch : queries that are worked on together, at most; 1 for one by one.
    most_requests : requests of every kind at once.
    leave_seconds : how long, told to stop, it says so at /readyz before it stops to listen.
    stop_seconds : how long running requests may take then. retry_seconds : what a client is told
        that is refused, as too many wait.
    """

    hosts: tuple[str, ...] = ("localhost", "127.0.0.1", "[::1]")
    most_body: int = 10 * 1024 * 1024
    most_pixels: int = 50_000_000
    most_query: int = 500
    most_k: int = 100
    body_seconds: float = 10.0
    queue_seconds: float = 10.0
    phrase_queue: int = 64
    picture_queue: int = 16
    phrase_batch: int = 32
    picture_batch: int = 8
    most_requests: int = 128
    leave_seconds: float = 0.5
    stop_seconds: float = 15.0
    retry_seconds: int = 1
