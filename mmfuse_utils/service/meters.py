"""What the service counts, for Prometheus."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)
SIZES = (1, 2, 4, 8, 16, 32)


class Meters:
    """Counters of one service, in a registry of their own.

    >>> meters = Meters(); meters.count("/v1/search", 200, 0.003)
    >>> b'mmfuse_requests_total{route="/v1/search",status="200"} 1.0' in meters.text()
    True
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter("mmfuse_requests", "Requests that were answered.",
                                ("route", "status"), registry=self.registry)
        self.seconds = Histogram("mmfuse_request_seconds", "Seconds from request to answer.",
                                 ("route",), buckets=SECONDS, registry=self.registry)
        self.in_work = Gauge("mmfuse_in_work", "Requests that wait or are worked on.",
                             registry=self.registry)
        self.refused = Counter("mmfuse_refused", "Queries that were refused, as too many waited.",
                               ("kind",), registry=self.registry)
        self.batches = Histogram("mmfuse_batch_size", "Queries that were worked on together.",
                                 ("kind",), buckets=SIZES, registry=self.registry)
        self._known: dict = {}

    def count(self, route: str, status: int, seconds: float) -> None:
        """Count a request that was answered."""
        key = route, status
        if key not in self._known:      # to find a labeled counter takes longer than to count
            self._known[key] = (self.requests.labels(route, str(status)),
                                self.seconds.labels(route))
        counter, histogram = self._known[key]
        counter.inc()
        histogram.observe(seconds)

    def text(self) -> bytes:
        """All counters in the format of Prometheus."""
        return generate_latest(self.registry)
