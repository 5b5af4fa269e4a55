"""What raters do."""

from typing import Final

from metering.telemetry.bounds import SECONDS
from metering.telemetry.kinds import Counter, Histogram
from metering.telemetry.labels import VERSIONS
from metering.telemetry.measurers import RATER

RATED_VERSIONS: Final = Counter(
    "metering.rated.versions", "{version}", "Versions of rated totals written.", (VERSIONS,), of=RATER
)
RATE_DURATION: Final = Histogram(
    "metering.rate.duration",
    "s",
    "Time to rate the periods of one transaction.",
    (VERSIONS,),
    bounds=SECONDS,
    of=RATER,
)
THRESHOLDS_CROSSED: Final = Counter(
    "metering.thresholds.crossed", "{threshold}", "Thresholds that usage has crossed.", of=RATER
)
FEED_PUSHED: Final = Counter(
    "metering.feed.pushed", "{entry}", "Entries of the feed written to its Kafka topic.", of=RATER
)
