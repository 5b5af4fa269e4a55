"""Which processes measure an instrument."""

from typing import Final

from metering.telemetry.kinds import Process

WORKER: Final[tuple[Process, ...]] = ("worker",)
CLOSER: Final[tuple[Process, ...]] = ("closer",)
RATER: Final[tuple[Process, ...]] = ("rater",)
AUDITOR: Final[tuple[Process, ...]] = ("auditor",)
API: Final[tuple[Process, ...]] = ("api",)
PUBLISHER: Final[tuple[Process, ...]] = ("publisher",)
OBSERVER: Final[tuple[Process, ...]] = ("observer",)
DUTIES: Final[tuple[Process, ...]] = ("closer", "rater", "observer", "auditor")
