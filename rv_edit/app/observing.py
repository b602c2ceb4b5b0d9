"""What Prometheus is told."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
SIZES = (1, 2, 4, 8, 16, 32, 64)


class Observer:
    """Counters and gauges of one service; no request's content is in them."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.requests = Counter("rv_edit_requests_total", "Requests", ["route", "method", "status"], registry=registry)
        self.seconds = Histogram(
            "rv_edit_request_seconds", "Time to answer", ["route"], buckets=SECONDS, registry=registry
        )
        self.batches = Histogram("rv_edit_batch_size", "Questions answered together", buckets=SIZES, registry=registry)
        self.retrievals = Counter("rv_edit_retrievals_total", "Questions looked up", ["accepted"], registry=registry)
        self.changes = Counter("rv_edit_changes_total", "Changes made durable", ["kind"], registry=registry)

    def watch(self, name: str, what: str, value: Callable[[], float]) -> None:
        """A gauge that is read when somebody asks."""
        Gauge(name, what, registry=self.registry).set_function(value)

    def request(self, route: str, method: str, status: int, seconds: float) -> None:
        """A request that was answered."""
        self.requests.labels(route, method, str(status)).inc()
        self.seconds.labels(route).observe(seconds)

    def retrieved(self, accepted: bool | None) -> None:
        """A question that was looked up; ``None``: there were no edits."""
        self.retrievals.labels("no edits" if accepted is None else "yes" if accepted else "no").inc()

    def text(self) -> bytes:
        """All of it, in Prometheus' text format."""
        return generate_latest(self.registry)
