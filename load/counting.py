"""One run of the real worker over a whole topic into an empty database, measured and checked."""

import json
from collections import Counter
from dataclasses import dataclass
from statistics import fmean
from typing import Any, Final, NamedTuple

import asyncpg
from collector import Collector
from commands import Environment, Running, run, running
from observing import Observing, collected
from servers import CpuSeconds, cpu_seconds
from sites import Site
from workload import REQUESTS_METER, TOKENS_METER, Totals

MILLION: Final = 1_000_000

_WAL: Final = "SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn AS bytes, wal_fpi FROM pg_stat_wal"
_OUTCOMES: Final = """
    SELECT sum(accepted)::bigint AS accepted, sum(next_offset - first_offset)::bigint AS records
    FROM metering.batch
"""


class WrongTotalsError(Exception):
    """What was counted is not what was sent: no figure of such a run is worth anything."""


class Wal(NamedTuple):
    """The write-ahead log so far; the bytes include the full images of pages."""

    bytes: int
    full_page_images: int

    def since(self, earlier: "Wal") -> "Wal":
        """What was written in between."""
        return Wal(self.bytes - earlier.bytes, self.full_page_images - earlier.full_page_images)


@dataclass(frozen=True, slots=True)
class Counted:
    """What one run has taken.

    `seconds` and the worker's CPU seconds are from the claim of the partitions, which is before the first
    fetch, to the commit of the last flush: starting an interpreter is no throughput.
    """

    records: int
    seconds: float
    worker_cpu_seconds: float
    servers_cpu_seconds: CpuSeconds
    wal: Wal
    flushes: int
    statements_per_flush: float
    flush_s: float  # mean
    rss_bytes_by_million: list[float]  # mean while the first, the second, … million was counted

    @property
    def events_per_s(self) -> float:
        """Throughput."""
        return self.records / self.seconds

    @property
    def wal_bytes_per_event(self) -> float:
        """Full-page images included."""
        return self.wal.bytes / self.records


async def count(site: Site, database: str, expected: Totals, observing: Observing = collected) -> Counted:
    """Count the whole topic with one worker, and see that nothing is missing and nothing is too much.

    Raises:
        WrongTotalsError: the totals are not those expected.
    """
    environment = await site.prepared(database)
    connection = await asyncpg.connect(environment["METERING_POSTGRES_DSN"])
    try:
        await connection.execute("CHECKPOINT")
        wal, cpu = await wal_so_far(connection), cpu_seconds(site.servers)
        with observing() as observed:
            told = {**environment, **observed.settings}
            with running(told, site.home, "worker", "--until-caught-up") as counting:
                counting.succeeded()
        counted = _counted(
            counting,
            observed.collector,
            cpu_seconds(site.servers).since(cpu),
            (await wal_so_far(connection)).since(wal),
        )
        outcomes = dict(await connection.fetchrow(_OUTCOMES) or {})
    finally:
        await connection.close()
    if outcomes != {"accepted": expected.events, "records": expected.events}:
        raise WrongTotalsError(f"{expected.events} events were sent, and counted are {outcomes}")
    check_totals(environment, expected)
    run(environment, "doctor")
    return counted


def check_totals(environment: Environment, expected: Totals) -> None:
    """Compare every total with what the producers have sent.

    Raises:
        WrongTotalsError: they differ.
    """
    tokens = {
        (line["subject"], line["group"]["model"]): int(line["value"])
        for line in _totals(environment, "--meter", TOKENS_METER, "--group-by", "model")
    }
    requests = {
        line["subject"]: int(line["value"]) for line in _totals(environment, "--meter", REQUESTS_METER)
    }
    for found, sent in ((tokens, expected.tokens_by_series()), (requests, expected.requests_by_subject())):
        if found != sent:
            missing = Counter(sent)
            missing.subtract(found)
            wrong = {key: difference for key, difference in missing.items() if difference}
            raise WrongTotalsError(
                f"sent less counted, of {len(wrong)} totals: {dict(list(wrong.items())[:9])}"
            )


def _totals(environment: Environment, *arguments: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in run(environment, "totals", *arguments, "--json").splitlines()]


def _counted(counting: Running, collector: Collector, cpu: CpuSeconds, wal: Wal) -> Counted:
    flushed = counting.events("flushed")
    (claimed,) = counting.events("partitions_claimed")
    began_s, ended_s = claimed["at_s"], flushed[-1]["at_s"]
    first, last = counting.sample_at(began_s), counting.sample_at(ended_s)
    statements = collector.distribution("metering.flush.statements")
    return Counted(
        records=sum(flush["records"] for flush in flushed),
        seconds=ended_s - began_s,
        worker_cpu_seconds=last.cpu_seconds - first.cpu_seconds,
        servers_cpu_seconds=cpu,
        wal=wal,
        flushes=len(flushed),
        statements_per_flush=statements.mean,
        flush_s=collector.distribution("metering.flush.duration").mean,
        rss_bytes_by_million=_rss_by_million(counting, flushed),
    )


def _rss_by_million(counting: Running, flushed: list[dict[str, Any]]) -> list[float]:
    by_million: dict[int, list[int]] = {}
    counted, flush = 0, 0
    for sample in counting.samples:
        while flush < len(flushed) and flushed[flush]["at_s"] <= sample.at_s:
            counted += flushed[flush]["records"]
            flush += 1
        if 0 < flush < len(flushed):
            by_million.setdefault(counted // MILLION, []).append(sample.rss_bytes)
    return [fmean(by_million[million]) for million in sorted(by_million)]


async def wal_so_far(connection: "asyncpg.Connection[asyncpg.Record]") -> Wal:
    """What the whole server has written."""
    row = await connection.fetchrow(_WAL)
    if row is None:
        raise RuntimeError("pg_stat_wal has no row")
    return Wal(int(row["bytes"]), row["wal_fpi"])
