"""How the HTTP API answers."""

from typing import Final

from metering.telemetry.bounds import SECONDS
from metering.telemetry.kinds import Counter, Gauge, Histogram
from metering.telemetry.labels import POOLED, PROBLEM, ROUTE, STATUS
from metering.telemetry.measurers import API

API_DURATION: Final = Histogram(
    "metering.api.duration",
    "s",
    "Time from an HTTP request to the end of its answer.",
    (ROUTE, STATUS),
    bounds=SECONDS,
    of=API,
)
API_IN_FLIGHT: Final = Gauge(
    "metering.api.in_flight", "{request}", "HTTP requests whose answer has not ended.", of=API
)
API_CONNECTIONS: Final = Gauge(
    "metering.api.connections",
    "{connection}",
    "Database connections of the API's pool; it makes them as they are needed.",
    (POOLED,),
    of=API,
)
API_CONNECTION_WAIT: Final = Histogram(
    "metering.api.connection.wait",
    "s",
    "Time a request waited for a connection of the pool, or until it gave up.",
    bounds=SECONDS,
    of=API,
)
API_PROBLEMS: Final = Counter(
    "metering.api.problems",
    "{response}",
    "HTTP requests that ended in a problem, by code.",
    (PROBLEM,),
    of=API,
)
