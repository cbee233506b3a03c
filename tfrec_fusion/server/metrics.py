"""Prometheus metrics under the names and in the format of TF Serving."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

PATH = "/monitoring/prometheus/metrics"
_MICROSECONDS = 1e6
_MOST_SERIES = 1000  # of one metric


@dataclass
class _Histogram:
    bounds: list[float]
    counts: list[int] = field(init=False)
    total: float = 0.0

    def __post_init__(self):
        self.counts = [0] * (len(self.bounds) + 1)


def _exponential(scale: float, growth: float, buckets: int) -> list[float]:
    """Upper bounds of all buckets except the last, which is unbounded."""
    return [scale * growth**i for i in range(buckets - 1)]


# name here -> (name on the page, labels)
_COUNTERS = {
    "request_count": (":tensorflow:serving:request_count", ("model_name", "status")),
    "wrapped_run_count": (":tensorflow:serving:batching_session:wrapped_run_count", ()),
}
# name here -> (name on the page, labels, bounds, factor from the unit here to that of the page)
_LATENCY = _exponential(10, 1.8, 33)
_HISTOGRAMS = {
    "request_latency": (
        ":tensorflow:serving:request_latency",
        ("model_name", "API", "entrypoint"),
        _LATENCY,
        _MICROSECONDS,
    ),
    "runtime_latency": (
        ":tensorflow:serving:runtime_latency",
        ("model_name", "API", "runtime"),
        _LATENCY,
        _MICROSECONDS,
    ),
    "queuing_latency": (
        ":tensorflow:serving:batching_session:queuing_latency",
        ("thread_pool_name",),
        _exponential(100, 1.2, 52),
        _MICROSECONDS,
    ),
    "processed_batch_size": (
        ":tensorflow:serving:batching:processed_batch_size",
        ("model_name",),
        _exponential(1, 2, 16),
        1,
    ),
}


class Metrics:
    """Thread-safe counters, histograms and gauges.

    Each metric keeps at most 1000 combinations of labels; further ones count under "" labels.

    Example:
      >>> metrics = Metrics()
      >>> metrics.count("request_count", 1, "shop", "OK")
      >>> ':tensorflow:serving:request_count{model_name="shop",status="OK"} 1' in metrics.page()
      True
    """

    def __init__(self):
        self._lock = threading.Lock()
        self._counters: dict[str, dict[tuple[str, ...], int]] = {name: {} for name in _COUNTERS}
        self._histograms: dict[str, dict[tuple[str, ...], _Histogram]] = {
            name: {} for name in _HISTOGRAMS
        }
        self._gauges: dict[str, Callable[[], float]] = {}

    def count(self, name: str, by: int = 1, *labels: str) -> None:
        """Adds to a counter."""
        with self._lock:
            values = self._counters[name]
            labels = _bounded(labels, values)
            values[labels] = values.get(labels, 0) + by

    def observe(self, name: str, value: float, *labels: str) -> None:
        """Adds a value to a histogram; give times in seconds."""
        _, _, bounds, unit = _HISTOGRAMS[name]
        value *= unit
        with self._lock:
            histograms = self._histograms[name]
            found = histograms.setdefault(_bounded(labels, histograms), _Histogram(bounds))
            found.counts[bisect_left(bounds, value)] += 1
            found.total += value

    def gauge(self, name: str, read: Callable[[], float]) -> None:
        """Adds a gauge, whose value `read` returns whenever the page is requested."""
        self._gauges[name] = read

    def page(self) -> str:
        """The metrics in Prometheus' text format."""
        with self._lock:
            lines = [*self._lines()]
        for name, read in self._gauges.items():
            lines += [f"# TYPE {name} gauge", f"{name}{{}} {read():g}"]
        return "\n".join([*lines, ""])

    def _lines(self) -> Iterator[str]:
        for name, (shown, labels) in _COUNTERS.items():
            yield f"# TYPE {shown} counter"
            for values, count in self._counters[name].items():
                yield f"{shown}{{{_labels(labels, values)}}} {count}"
        for name, (shown, labels, *_) in _HISTOGRAMS.items():
            yield f"# TYPE {shown} histogram"
            for values, histogram in self._histograms[name].items():
                yield from _histogram(shown, _labels(labels, values), histogram)


def _bounded(labels: tuple[str, ...], known: Mapping) -> tuple[str, ...]:
    """Blanks new label values once a metric has too many combinations."""
    return labels if labels in known or len(known) < _MOST_SERIES else ("",) * len(labels)


def _histogram(name: str, labels: str, histogram: _Histogram) -> Iterator[str]:
    below = 0
    for bound, count in zip([*histogram.bounds, None], histogram.counts, strict=True):
        below += count
        limit = "+Inf" if bound is None else f"{bound:g}"
        yield f'{name}_bucket{{{labels}{"," if labels else ""}le="{limit}"}} {below}'
    yield f"{name}_sum{{{labels}}} {histogram.total:g}"
    yield f"{name}_count{{{labels}}} {below}"


def _labels(names: tuple[str, ...], values: tuple[str, ...]) -> str:
    pairs = zip(names, values, strict=True)
    return ",".join(f'{name}="{_escaped(value)}"' for name, value in pairs)


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
