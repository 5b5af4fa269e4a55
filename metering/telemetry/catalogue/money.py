"""Money at risk: what was refused, and what nobody pays for."""

from typing import Final

from metering.telemetry.kinds import Gauge
from metering.telemetry.labels import BOUND, CODE, CURRENCY
from metering.telemetry.measurers import OBSERVER

QUARANTINED: Final = Gauge(
    "metering.quarantine.records",
    "{record}",
    "Refused records that wait for somebody to decide, by code.",
    (CODE,),
    of=OBSERVER,
)
QUARANTINE_AGE: Final = Gauge(
    "metering.quarantine.age", "s", "Age of the oldest of them.", (CODE,), of=OBSERVER
)
QUARANTINE_MONEY: Final = Gauge(
    "metering.quarantine.at_risk",
    "{currency}",
    "What they would have cost, as far as they can be read: an estimate, looked at once a minute.",
    (CODE, CURRENCY, BOUND),
    of=OBSERVER,
)
QUARANTINE_NOT_ESTIMATED: Final = Gauge(
    "metering.quarantine.not_estimated",
    "{record}",
    "Of them, those whose money nobody knows: they cannot be read, have no price, or are too many.",
    (CODE,),
    of=OBSERVER,
)
UNRATED_EVENTS: Final = Gauge(
    "metering.unrated.events",
    "{event}",
    "Counted events that no subscription pays for.",
    of=OBSERVER,
)
UNRATED_MONEY: Final = Gauge(
    "metering.unrated.at_risk",
    "{currency}",
    "What they would cost: an estimate, as `metering unrated` shows it.",
    (CURRENCY, BOUND),
    of=OBSERVER,
)
UNRATED_NOT_ESTIMATED: Final = Gauge(
    "metering.unrated.not_estimated",
    "{event}",
    "Of them, those whose money nobody knows: no plan of today has a price, or they are too many.",
    of=OBSERVER,
)
SILENT_SUBSCRIPTIONS: Final = Gauge(
    "metering.unrated.subscriptions.silent",
    "{subscription}",
    "Subscriptions' meters without usage for longer than ever before.",
    of=OBSERVER,
)
