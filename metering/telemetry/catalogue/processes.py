"""Whether processes are ready, and which of them is at work."""

from typing import Final

from metering.telemetry.bounds import SECONDS
from metering.telemetry.kinds import Counter, Gauge, Histogram
from metering.telemetry.labels import DUTY, SERVER
from metering.telemetry.measurers import API, DUTIES, OBSERVER, WORKER

READY: Final = Gauge(
    "metering.ready", "{process}", "1 while `/readyz` says so, else 0.", of=(*WORKER, *DUTIES, *API)
)
AWAY: Final = Counter(
    "metering.server.away",
    "{attempt}",
    "Attempts that failed because a server did not answer, and were made again.",
    (SERVER,),
    of=(*WORKER, *DUTIES),
)
TURNS: Final = Counter(
    "metering.turns", "{turn}", "Times that this process became the one at work.", (DUTY,), of=DUTIES
)
LAST_STEP: Final = Gauge(
    "metering.step.timestamp",
    "s",
    "When this process last ended a step of its duty, in seconds since the Unix epoch by its own clock.",
    (DUTY,),
    of=DUTIES,
)
AT_WORK: Final = Gauge(
    "metering.at_work",
    "{process}",
    "1 while this process is the one at work, 0 while it waits.",
    (DUTY,),
    of=DUTIES,
)
DUTY_HELD: Final = Gauge(
    "metering.duty.held",
    "{process}",
    "1 while some process has the turn, 0 while nobody has: by the database's own word.",
    (DUTY,),
    of=OBSERVER,
)
OBSERVE_DURATION: Final = Histogram(
    "metering.observe.duration", "s", "Time to look at everything once.", bounds=SECONDS, of=OBSERVER
)
