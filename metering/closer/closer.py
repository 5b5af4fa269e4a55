"""One look at the frontiers a second: what every one of them has passed becomes final."""

import time
from collections.abc import Sequence
from typing import Final

import structlog

from aggregator.finality import Frontier, meter_final_before_us, meter_finality
from aggregator.store import finality as store
from aggregator.store.connection import Connection
from aggregator.store.finality import Closed, Finality
from metering.process.exclusive import Turn
from metering.settings import Settings
from metering.telemetry import Instruments, catalogue
from schemas.instant import format_time

log = structlog.get_logger(__name__)


class Closer:
    """The duty of `metering close`."""

    name: Final = "closer"

    def __init__(self, settings: Settings) -> None:
        self.interval_s = settings.close_interval_s
        self._target_us: int | None = None

    async def step(self, turn: Turn) -> bool:
        """Close what can be closed; there is never more to do at once."""
        began_s = time.monotonic()
        closed = await store.close(turn.connection)
        turn.instruments.record(catalogue.CLOSE_DURATION, time.monotonic() - began_s)
        _measure(turn.instruments, closed.state)
        if closed.advanced:
            _tell(closed)
        return False

    async def is_done(self, connection: Connection) -> bool:
        """Whether another closer has closed what could be closed when this was asked first."""
        state = await store.finality(connection)
        if self._target_us is None:
            self._target_us = state.reached_us
        if self._target_us is None:
            return True  # a partition has no record yet: nothing can be closed
        return state.closing_us is not None and state.closing_us >= self._target_us


def _tell(closed: Closed) -> None:
    state = closed.state
    moved = {mark.meter_version_id for mark in closed.advanced}
    final_us = {
        meter: meter_final_before_us(versions, state.final_before_us)
        for meter, versions in state.meters.items()
        if moved & {version.meter_version_id for version in versions}
    }
    log.info(
        "closed",
        log_time=_text(state.closing_us),
        final_before={meter: _text(instant_us) for meter, instant_us in final_us.items()},
    )


def _measure(instruments: Instruments, state: Finality) -> None:
    if state.closing_us is not None:
        instruments.set(catalogue.CLOSING, state.closing_us / 1e6)
    foremost_us = _foremost_us(state.frontiers)
    if foremost_us is None:
        return
    for one in state.frontiers:
        if one.frontier_us is not None:
            behind_s = (foremost_us - one.frontier_us) / 1e6
            instruments.set(catalogue.FRONTIER_BEHIND, behind_s, partition=one.partition)
    for meter, versions in state.meters.items():
        stands = meter_finality(versions, state.final_before_us, state.frontiers)
        if stands.final_before_us is not None:
            delay_s = max(0, foremost_us - stands.final_before_us) / 1e6
            instruments.set(catalogue.FINALITY_DELAY, delay_s, meter=meter)
            instruments.set(catalogue.FINALITY_OVERDUE, stands.overdue_us / 1e6, meter=meter)


def _foremost_us(frontiers: Sequence[Frontier]) -> int | None:
    return max((one.frontier_us for one in frontiers if one.frontier_us is not None), default=None)


def _text(instant_us: int | None) -> str | None:
    return None if instant_us is None else format_time(instant_us)
