"""What telemetry costs a worker: `load/telemetry.py`, three workers at once that count the same topic.

One is watched by nobody. One pushes spans, metrics and log lines to a collector, and a Prometheus scrapes it
every five seconds, thrice as often as usual. One does the same with a collector that reads and never answers.
Each counts the whole topic into an empty database of its own and is checked. They run side by side, and not
one after another, because a machine whose speed changes within a minute then changes it for all three alike.
Collector and scraper run in this process, on the same cores: their own work is in the figure. The last line
is one JSON object.
"""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace
from statistics import median
from typing import Final, NamedTuple

import cyclopts
from counting import MILLION, Counted, count
from observing import Observing, collected_and_scraped, hung_and_scraped, unobserved
from producers import produce
from rich.console import Console
from rich.table import Table
from servers import directory, drop_database, running_servers
from sites import Site
from workload import Totals

LEAST_RATIO: Final = 0.97

KINDS: Final = (unobserved, collected_and_scraped, hung_and_scraped)


class Against(NamedTuple):
    """A worker with telemetry against the one of its round without."""

    without: Counted
    observed: Counted

    @property
    def rate_ratio(self) -> float:
        """Of the rates: what is left with telemetry."""
        return self.observed.events_per_s / self.without.events_per_s

    @property
    def cpu_ratio(self) -> float:
        """Of the processor time for the same events."""
        return self.observed.worker_cpu_seconds / self.without.worker_cpu_seconds


class Round(NamedTuple):
    """A worker of each kind, at the same time."""

    healthy: Against
    hung: Against


def main(*, events: int = MILLION, runs: int = 5, partitions: int = 6, seed: int = 1) -> None:
    """Measure what telemetry costs.

    Args:
        events: in the topic, which every run reads whole.
        runs: rounds of three workers.
        partitions: of the topic.
        seed: of the events.
    """
    console = Console()
    rounds = asyncio.run(_rounds(console, events, runs, partitions, seed))
    console.print(_table(rounds))
    healthy = median(one.healthy.rate_ratio for one in rounds)
    hung = median(one.hung.rate_ratio for one in rounds)
    print(
        json.dumps(
            {
                "rate_ratio": round(healthy, 4),
                "cpu_ratio": round(median(one.healthy.cpu_ratio for one in rounds), 4),
                "hung_rate_ratio": round(hung, 4),
                "hung_cpu_ratio": round(median(one.hung.cpu_ratio for one in rounds), 4),
                "least_rate_ratio": LEAST_RATIO,
                "is_met": min(healthy, hung) >= LEAST_RATIO,
            }
        ),
        flush=True,
    )


async def _rounds(console: Console, events: int, runs: int, partitions: int, seed: int) -> list[Round]:
    with directory() as home:
        async with running_servers() as servers:
            site = Site(servers, home, "usage.events", partitions)
            await site.prepared("unused")
            console.print(f"Writing {events:,} events to {partitions} partitions (seed {seed}) …")
            totals = produce(servers.kafka.address, site.topic, events, seed)
            rounds = []
            for run in range(runs):
                rounds.append(await _round(site, totals, run))
                console.print(
                    f"Round {run + 1}: every total is right; {rounds[-1].healthy.rate_ratio:.3f} of the rate,"
                    f" {rounds[-1].hung.rate_ratio:.3f} while the collector hangs"
                )
            return rounds


async def _round(site: Site, totals: Totals, run: int) -> Round:
    """Who is started first takes turns, should that make a difference."""
    first = run % len(KINDS)
    kinds = KINDS[first:] + KINDS[:first]
    found = await asyncio.gather(
        *(
            asyncio.to_thread(asyncio.run, _count(site, totals, f"run_{run}_{place}", observing))
            for place, observing in enumerate(kinds)
        )
    )
    of = dict(zip(kinds, found, strict=True))
    return Round(
        Against(of[unobserved], of[collected_and_scraped]), Against(of[unobserved], of[hung_and_scraped])
    )


async def _count(site: Site, totals: Totals, database: str, observing: Observing) -> Counted:
    home = site.home / database
    home.mkdir()
    try:
        return await count(replace(site, home=home), database, totals, observing)
    finally:
        await drop_database(site.servers.postgres, database)


def _table(rounds: Sequence[Round]) -> Table:
    table = Table(
        "", *(f"round {place}" for place in range(1, len(rounds) + 1)), title="What telemetry costs"
    )
    for column in table.columns[1:]:
        column.justify = "right"
    healthy, hung = [one.healthy for one in rounds], [one.hung for one in rounds]
    table.add_row("events per second without", *(f"{one.without.events_per_s:,.0f}" for one in healthy))
    table.add_row(
        "worker's CPU seconds without", *(f"{one.without.worker_cpu_seconds:.2f}" for one in healthy)
    )
    for name, kind in (("with", healthy), ("hung", hung)):
        table.add_row(f"events per second {name}", *(f"{one.observed.events_per_s:,.0f}" for one in kind))
        table.add_row("  ratio", *(f"{one.rate_ratio:.3f}" for one in kind))
        table.add_row(
            f"worker's CPU seconds {name}", *(f"{one.observed.worker_cpu_seconds:.2f}" for one in kind)
        )
        table.add_row("  ratio", *(f"{one.cpu_ratio:.3f}" for one in kind))
    return table


if __name__ == "__main__":
    cyclopts.run(main)
