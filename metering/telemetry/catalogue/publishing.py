"""What producers send through our client."""

from typing import Final

from metering.telemetry.kinds import Counter, Gauge
from metering.telemetry.labels import CODE
from metering.telemetry.measurers import PUBLISHER

PUBLISHED: Final = Counter(
    "metering.publisher.sent", "{event}", "Events the brokers acknowledged.", of=PUBLISHER
)
PUBLISH_PENDING: Final = Gauge(
    "metering.publisher.pending",
    "{event}",
    "Events sent and not yet acknowledged, as of the last thousand or the last flush.",
    of=PUBLISHER,
)
PUBLISH_REFUSED: Final = Counter(
    "metering.publisher.refused", "{event}", "Events refused before they were sent.", (CODE,), of=PUBLISHER
)
PUBLISH_FAILED: Final = Counter(
    "metering.publisher.failed",
    "{event}",
    "Events that could not be delivered; the caller was told.",
    of=PUBLISHER,
)
