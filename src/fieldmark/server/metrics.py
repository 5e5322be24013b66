"""What Prometheus is told. Times are in seconds and split as a request is: queue, decode, inference, all of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, PlatformCollector, ProcessCollector
from prometheus_client import generate_latest as generate_latest

from fieldmark.server.models import Served
from fieldmark.server.waiting import Answer

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_Metric = TypeVar("_Metric", Counter, Histogram)
_MODEL = ("model", "version")


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    """One registry a server; file names, keys and users are in none of its labels."""

    registry: CollectorRegistry
    requests: Counter
    request_seconds: Histogram
    images: Counter
    queue_seconds: Histogram
    decode_seconds: Histogram
    inference_seconds: Histogram
    batch_images: Histogram
    worker_losses: Counter
    reloads: Counter
    request_log_failures: Counter
    model_info: Gauge
    ready: Gauge
    waiting_images: Gauge
    held_bytes: Gauge

    def answered(self, answers: Sequence[Answer]) -> None:
        """Images that a model was asked about."""
        for answer in answers:
            source = answer.served.source
            outcome = "unreadable" if answer.row.reason else "answered"
            labelled(self.images, source.name, source.version, outcome).inc()
            for histogram, value in (
                (self.queue_seconds, answer.queue_s),
                (self.decode_seconds, answer.decode_s),
                (self.inference_seconds, answer.run_s),
                (self.batch_images, answer.batch),
            ):
                labelled(histogram, source.name, source.version).observe(value)

    def serving(self, models: Sequence[Served]) -> None:
        """These models, and no others, answer from now on."""
        self.model_info.clear()
        for served in models:
            self.model_info.labels(served.source.name, served.source.version, served.digest).set(1)


@lru_cache(maxsize=1024)
def labelled(metric: _Metric, *labels: str) -> _Metric:
    """`metric.labels(...)`, which takes longer to find it than to count: a request counts seven."""
    return metric.labels(*labels)


def new_metrics() -> Metrics:
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)

    def counter(name: str, what: str, labels: Sequence[str] = ()) -> Counter:
        return Counter(f"fieldmark_{name}", what, labels, registry=registry)

    def gauge(name: str, what: str, labels: Sequence[str] = ()) -> Gauge:
        return Gauge(f"fieldmark_{name}", what, labels, registry=registry)

    def histogram(name: str, what: str, labels: Sequence[str], buckets: Sequence[float] = _SECONDS) -> Histogram:
        return Histogram(f"fieldmark_{name}", what, labels, registry=registry, buckets=buckets)

    return Metrics(
        registry=registry,
        requests=counter("requests", "Requests, by route and status.", ("route", "status")),
        request_seconds=histogram("request_seconds", "From the request's head to its answer.", ("route",)),
        images=counter("images", "Images, by what became of them.", (*_MODEL, "outcome")),
        queue_seconds=histogram("queue_seconds", "An image's wait for a worker.", _MODEL),
        decode_seconds=histogram("decode_seconds", "Decoding and geometry of an image's batch.", _MODEL),
        inference_seconds=histogram("inference_seconds", "The graph's run of an image's batch.", _MODEL),
        batch_images=histogram("batch_images", "Images in the batch of an image.", _MODEL, (1, 2, 4, 8, 16)),
        worker_losses=counter("worker_losses", "Workers that ended or were stopped."),
        reloads=counter("reloads", "Models loaded anew, by outcome.", ("outcome",)),
        request_log_failures=counter("request_log_failures", "Requests that the request log does not hold."),
        model_info=gauge("model_info", "1 for each model that answers.", (*_MODEL, "digest")),
        ready=gauge("ready", "1 where the canaries answered right and the server is not ending."),
        waiting_images=gauge("waiting_images", "Images in the queue and with workers."),
        held_bytes=gauge("held_bytes", "Bytes of bodies that requests hold."),
    )
