"""How a measured worker is observed: by nobody, by a collector, by a Prometheus too, or by one that hangs."""

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from http.client import HTTPConnection
from typing import Final, NamedTuple

from collector import Collector, collecting, hanging
from commands import Environment

from metering.dev.ports import free_ports

SCRAPE_INTERVAL_S: Final = 5.0


class Observed(NamedTuple):
    """What the worker is told, and who listens."""

    settings: Environment
    collector: Collector


Observing = Callable[[], AbstractContextManager[Observed]]


@contextmanager
def unobserved() -> Iterator[Observed]:
    """Measure nothing."""
    yield Observed({}, Collector(""))


@contextmanager
def collected() -> Iterator[Observed]:
    """Push everything to a collector."""
    with collecting() as collector:
        yield Observed({"METERING_OTLP_ENDPOINT": collector.url}, collector)


@contextmanager
def collected_and_scraped() -> Iterator[Observed]:
    """Push everything to a collector, and be scraped every five seconds."""
    with collected() as observed, _scraped(observed) as scraped:
        yield scraped


@contextmanager
def hung_and_scraped() -> Iterator[Observed]:
    """Push everything to a collector that never answers, and be scraped every five seconds."""
    with hanging() as url, _scraped(Observed({"METERING_OTLP_ENDPOINT": url}, Collector(url))) as scraped:
        yield scraped


@contextmanager
def _scraped(observed: Observed) -> Iterator[Observed]:
    (port,) = free_ports(1)
    ended = threading.Event()
    thread = threading.Thread(target=_scrape, args=(port, ended))
    thread.start()
    try:
        yield Observed({**observed.settings, "METERING_ADMIN_PORT": str(port)}, observed.collector)
    finally:
        ended.set()
        thread.join()


def _scrape(port: int, ended: threading.Event) -> None:
    while not ended.wait(SCRAPE_INTERVAL_S):
        connection = HTTPConnection("127.0.0.1", port, timeout=SCRAPE_INTERVAL_S)
        try:
            connection.request("GET", "/metrics")
            connection.getresponse().read()
        except OSError:
            continue  # it has not started, or has ended
        finally:
            connection.close()
