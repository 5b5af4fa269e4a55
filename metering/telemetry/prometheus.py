"""What Prometheus reads at `/metrics`: the instruments' values now, and the process's own."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from opentelemetry.exporter.prometheus import PrometheusMetricReader
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.exposition import choose_encoder

PROCESS_METRICS: Final = (
    "process_cpu_seconds_total",
    "process_max_fds",
    "process_open_fds",
    "process_resident_memory_bytes",
    "process_start_time_seconds",
    "process_virtual_memory_bytes",
)
"""The Prometheus client's own, of Linux processes; they have no name in OpenTelemetry's catalogue of ours."""


class Exposition:
    """One registry of its own, so that nothing is shared with others in this interpreter."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.reader = PrometheusMetricReader(scope_info_enabled=False, registry=self._registry)
        ProcessCollector(registry=self._registry)
        # One thread: the reader hands what it has collected to whoever asks next.
        self._renderer = ThreadPoolExecutor(1, "metrics")

    async def render(self, accept: str) -> tuple[bytes, str]:
        """Write all values in the format that an `Accept` header asks for, and name that format.

        In a thread: some milliseconds, in which the loop has better things to do.
        """
        encode, content_type = choose_encoder(accept)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._renderer, encode, self._registry), content_type
