"""A fault is done to a system that is well, named by everybody who should, and ended as its page says."""

import inspect
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final

from drills.drill import Drill
from drills.system import PARTITIONS, System
from support import runbooks
from support.prometheus import Prometheus

from metering.dev.conditions import until

WELL_S: Final = 400
"""Longest wait until everything runs and is seen to be well, on a busy machine."""

FIRE_S: Final = 60
CLEAR_S: Final = 180
NAMED_S: Final = 150
"""Doctor and console name some faults only when work has waited for a minute."""

Effect = Callable[[], Awaitable[Any] | Any]


@dataclass
class Outcome:
    """A row of the table."""

    fault: str
    alert: str
    fired_s: float | None = None
    cleared_s: float | None = None
    consequences: list[str] = field(default_factory=list)


class Rehearsal:
    """One drill on its system, under the eyes of its Prometheus."""

    def __init__(self, drill: Drill, system: System, prometheus: Prometheus, outcome: Outcome) -> None:
        self.system = system
        self.prometheus = prometheus
        self._drill = drill
        self._outcome = outcome
        self._expected: set[str] = set()

    async def all_is_well(self) -> None:
        """Wait until every process is scraped, every partition counted, and nothing fires or is about to."""
        ok = f'count(metering_partition_state{{state="ok"}} == 1) == {PARTITIONS}'
        alerts: list[str] = []

        async def well() -> bool:
            nonlocal alerts
            alerts = sorted(one["labels"]["alertname"] for one in await self._alerts())
            return (
                not alerts
                and await self.prometheus.scrapes(self.system.targets)
                and bool(await self.prometheus.query(ok))
            )

        self.prometheus.aim(self.system.targets)
        assert await until(well, deadline_s=WELL_S), (
            f"it is not well before the fault: {alerts} {await self.prometheus.query('up')}"
            f" {await self.prometheus.query('metering_partition_state == 1')}"
        )
        await self.system.log_in()
        shown = self._drill.console
        assert shown is None or shown not in await self.system.console(), (
            f"it shows {shown!r} of a well system"
        )

    async def fires(self, fault: Effect, *, within_s: float = FIRE_S) -> None:
        """Do the fault; see its alert fire in time, no other that is not a consequence, and all name it.

        Args:
            fault: what goes wrong.
            within_s: from the end of the fault.
        """
        alert = self._drill.alert
        self._expected = {alert, *self._drill.consequences}
        await _do(fault)
        began_s = time.monotonic()
        fired = await self._until(lambda firing: alert in firing, within_s)
        assert fired, f"{alert} has not fired within {within_s} s; pending or firing: {await self._all()}"
        self._outcome.fired_s = time.monotonic() - began_s
        await self._doctor_names_it()
        await self._console_shows_it()

    async def clears(self, hand: Effect | None = None, **blanks: object) -> None:
        """End the fault, and see every direct alert end.

        Args:
            hand: what a person does outside of our commands, before they type what the page says.
            blanks: what they type for the words in capitals.
        """
        if hand is not None:
            await _do(hand)
        for beginning in self._drill.act:
            line = runbooks.filled(runbooks.command(self._drill.page, beginning), blanks)
            await self.system.type(line)
        self.prometheus.aim(self.system.targets)  # a process may have come to those that there were
        began_s = time.monotonic()
        over = await self._until(lambda firing: not firing, CLEAR_S)
        assert over, f"after {CLEAR_S} s these still fire: {await self._firing()}"
        self._outcome.cleared_s = time.monotonic() - began_s

    async def _doctor_names_it(self) -> None:
        codes = set(self._drill.doctor)
        found: dict[str, Any] = {}

        async def named() -> bool:
            nonlocal found
            found = await self.system.doctor()
            return codes <= found.keys()

        assert await until(named, deadline_s=NAMED_S), f"doctor finds {found}"
        assert codes or not (bad := [one for one in found.values() if one["severity"] != "info"]), bad

    async def _console_shows_it(self) -> None:
        shown, page = self._drill.console, ""

        async def is_shown() -> bool:
            nonlocal page
            page = await self.system.console()
            return shown is None or shown in page

        assert await until(is_shown, deadline_s=NAMED_S), f"the console shows: {page}"

    async def _until(self, condition: Callable[[set[str]], bool], deadline_s: float) -> bool:
        async def holds() -> bool:
            firing = await self._firing()
            for name in sorted(firing - {self._outcome.alert} - set(self._outcome.consequences)):
                self._outcome.consequences.append(name)
            assert firing <= self._expected, f"unexpected: {await self._all()}"
            return condition(firing)

        return await until(holds, deadline_s=deadline_s)

    async def _firing(self) -> set[str]:
        return {one["labels"]["alertname"] for one in await self._alerts() if one["state"] == "firing"}

    async def _alerts(self) -> list[dict[str, Any]]:
        """Pending or firing, without burn rates and slow signals: those rest on hours that were not seen."""
        return [
            one
            for one in await self.prometheus.alerts()
            if "kind" not in one["labels"] or one["labels"]["alertname"] in self._expected
        ]

    async def _all(self) -> list[dict[str, Any]]:
        return [
            {**one["labels"], "state": one["state"], "value": one["value"]}
            for one in await self.prometheus.alerts()
        ]


async def _do(effect: Effect) -> None:
    done = effect()
    if inspect.isawaitable(done):
        await done
