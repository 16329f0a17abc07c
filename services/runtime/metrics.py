"""Counts and latencies of calls: Prometheus over HTTP where asked for, a few numbers in GetStatus always."""

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from penchant.errors import ConfigError

_BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)


class CallMetrics:
    """Calls by method and code, their latency, and how many run."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._calls = Counter("penchant_calls", "Finished calls", ["method", "code"], registry=self.registry)
        self._seconds = Histogram(
            "penchant_call_seconds", "Latency", ["method"], buckets=_BUCKETS, registry=self.registry
        )
        self._running = Gauge("penchant_running_calls", "Calls that run now", registry=self.registry)
        self._counters: dict[tuple[str, str], Counter] = {}
        self._histograms: dict[str, Histogram] = {}
        self._finished = 0
        self._failed = 0

    def started(self) -> None:
        """A call came in."""
        self._running.inc()

    def finished(self, method: str, code: str, seconds: float) -> None:
        """A call ended. `method` is a registered one, so labels are bounded."""
        self._running.dec()
        counter = self._counters.get((method, code))
        if counter is None:
            counter = self._counters[method, code] = self._calls.labels(method, code)
            self._histograms[method] = self._seconds.labels(method)
        counter.inc()
        self._histograms[method].observe(seconds)
        self._finished += 1
        self._failed += code != "OK"

    def gauge(self, name: str, text: str) -> Gauge:
        """A gauge of a service's own, exported with the rest."""
        return Gauge(name, text, registry=self.registry)

    def numbers(self) -> dict[str, float]:
        """For GetStatus."""
        return {"calls_finished": float(self._finished), "calls_failed": float(self._failed)}

    def expose(self, host: str, port: int) -> None:
        """Serve /metrics from a thread of its own until the process ends. Raises ConfigError for a taken port."""
        try:
            prometheus_client.start_http_server(port, host, self.registry)
        except OSError as error:
            raise ConfigError(f"metrics cannot be served on {host}:{port} ({error.strerror})") from None
