"""A fault, the alert that names it, the doctor that finds it, and what ends it: each with its time."""

import inspect
import time
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field
from typing import Any, Final

from drills.system import PARTITIONS, System
from support.prometheus import Prometheus
from support.rules import alerts

from metering.dev.conditions import until

WELL_S: Final = 120
"""Longest wait until everything runs and is seen to be well, on a busy machine."""

FIRE_S: Final = 60
CLEAR_S: Final = 180
DOCTOR_S: Final = 150

Effect = Callable[[], Awaitable[Any] | Any]


@dataclass
class Outcome:
    """A row of the table."""

    fault: str
    alert: str = "-"
    fired_s: float | None = None
    cleared_s: float | None = None
    consequences: list[str] = field(default_factory=list)


class Drill:
    """One fault on a system that is well before and after it."""

    def __init__(self, system: System, prometheus: Prometheus, outcome: Outcome) -> None:
        self.system = system
        self.prometheus = prometheus
        self._outcome = outcome
        self._expected: set[str] = set()

    async def all_is_well(self) -> None:
        """Wait until every process is scraped, every partition counted, and nothing fires or is about to."""
        ok = f'count(metering_partition_state{{state="ok"}} == 1) == {PARTITIONS}'
        alerts: list[str] = []

        async def well() -> bool:
            nonlocal alerts
            alerts = sorted(one["labels"]["alertname"] for one in await self.prometheus.alerts())
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

    async def fires(
        self,
        alert: str,
        fault: Effect,
        *,
        consequences: Collection[str] = (),
        doctor: Collection[str] = (),
        within_s: float = FIRE_S,
    ) -> None:
        """Do the fault, and see its alert fire in time, and no other that is not a consequence.

        Args:
            alert: its name.
            fault: what goes wrong.
            consequences: other alerts that may fire until it is over.
            doctor: codes of `metering doctor`, each of which must be found; none: it finds nothing of weight.
            within_s: from the end of the fault.
        """
        self._outcome.alert = alert
        self._expected = {alert, *consequences}
        await _do(fault)
        began_s = time.monotonic()
        fired = await self._until(lambda firing: alert in firing, within_s)
        assert fired, f"{alert} has not fired within {within_s} s; pending or firing: {await self._all()}"
        self._outcome.fired_s = time.monotonic() - began_s
        await self._is_named(set(doctor))

    async def _is_named(self, codes: Collection[str]) -> None:
        """The doctor finds them; some only when work has waited for a minute."""
        found: dict[str, Any] = {}

        async def named() -> bool:
            nonlocal found
            found = await self.system.doctor()
            return codes <= found.keys()

        assert await until(named, deadline_s=DOCTOR_S), f"doctor finds {found}"
        assert codes or not (bad := [one for one in found.values() if one["severity"] != "info"]), bad

    async def clears(self, remedy: Effect, *, command: str | None = None, within_s: float = CLEAR_S) -> None:
        """End the fault, and see every direct alert end.

        Args:
            remedy: what a person does.
            command: what they type, which must be on the alert's page.
            within_s: from the end of the remedy.
        """
        page = next(one for one in alerts() if one.name == self._outcome.alert).page
        assert command is None or command in page.read_text(), f"{page.name} does not say `{command}`"
        await _do(remedy)
        began_s = time.monotonic()
        over = await self._until(lambda firing: not firing, within_s)
        assert over, f"after {within_s} s these still fire: {await self._firing()}"
        self._outcome.cleared_s = time.monotonic() - began_s

    async def _until(self, condition: Callable[[set[str]], bool], deadline_s: float) -> bool:
        async def holds() -> bool:
            firing = await self._firing()
            for name in sorted(firing - {self._outcome.alert} - set(self._outcome.consequences)):
                self._outcome.consequences.append(name)
            assert firing <= self._expected, f"unexpected: {await self._all()}"
            return condition(firing)

        return await until(holds, deadline_s=deadline_s)

    async def _firing(self) -> set[str]:
        """Direct alerts: burn rates and slow signals rest on hours that this Prometheus has not seen."""
        return {
            one["labels"]["alertname"]
            for one in await self.prometheus.alerts()
            if one["state"] == "firing" and ("kind" not in one["labels"] or self._is_expected(one))
        }

    def _is_expected(self, one: dict[str, Any]) -> bool:
        return one["labels"]["alertname"] in self._expected

    async def _all(self) -> list[dict[str, Any]]:
        return [
            {**one["labels"], "state": one["state"], "value": one["value"]}
            for one in await self.prometheus.alerts()
        ]


async def _do(effect: Effect) -> None:
    done = effect()
    if inspect.isawaitable(done):
        await done
