"""`make soak SECONDS=… SEED=…`: faults at random, and in the end nothing lost and nothing counted twice.

A Kafka and a Postgres of its own, three workers, producers of every kind, and hands that kill, freeze and
stop all of them and lose commits. The oracle adds up what was sent while it is sent (`expectation.py`). At
the end everything runs again, one worker catches up, every record's outcome and every window's value must be
what the oracle says, and `metering doctor` content. The same seed makes the same choices; when they fall is
the machine's affair.
"""

import asyncio
import json
import os
import secrets
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any, Final

import asyncpg
import with_test_support  # noqa: F401 - before what it lets us import
from commands import Environment, run
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, TopicPartition
from expectation import CATALOG, WINDOWS_US, WindowName
from faults import Crew, Faults
from servers import directory, running_servers
from sites import Site
from support.postgres_wire import dsn_through, postgres_proxy
from traffic import Traffic

from schemas.instant import parse_time_us

PARTITIONS: Final = 4
SHOWN: Final = 10
PROMPT: Final = {  # so that more happens within the same time
    "METERING_SESSION_TIMEOUT_S": "6",
    "METERING_DRAIN_DEADLINE_S": "10",
    "METERING_STATEMENT_TIMEOUT_S": "10",
    "METERING_LOCK_TIMEOUT_S": "5",
    "METERING_FLUSH_INTERVAL_S": "0.5",
    "METERING_TICK_INTERVAL_S": "3",
}
POLL_S: Final = 30.0

_OUTCOMES: Final = """
    SELECT sum(accepted)::bigint AS accepted, sum(duplicate)::bigint AS duplicate,
        sum(conflict)::bigint AS conflict, sum(quarantined)::bigint AS quarantined, sum(tick)::bigint AS tick,
        sum(gap)::bigint AS gap, sum(lost)::bigint AS lost
    FROM metering.batch
"""
_CODES: Final = "SELECT code, count(*) FROM metering.quarantine GROUP BY code"


class WrongError(Exception):
    """Something was counted otherwise than it was sent."""


async def soak(seconds: float, seed: int) -> None:
    """Soak for so long; return if everything is right.

    Raises:
        WrongError: a total or an outcome is wrong.
        RuntimeError: a command has failed, `metering doctor` for one.
    """
    with directory() as home:
        async with running_servers() as servers:
            site = Site(servers, home, "usage.events", PARTITIONS)
            environment = await site.prepared("soak", CATALOG)
            proxy = postgres_proxy(environment["METERING_POSTGRES_DSN"])
            await proxy.listen()
            through = dsn_through(proxy, environment["METERING_POSTGRES_DSN"])
            crew = Crew({**environment, **PROMPT, "METERING_POSTGRES_DSN": through}, home)
            traffic = Traffic(servers.kafka.address, site.topic, PARTITIONS, seed)
            faults = Faults(seed, crew, servers, proxy, _say)
            try:
                await _harm(faults, traffic, seconds)
                await crew.disband()
            finally:
                crew.kill()
                await proxy.close()
            print(f"Done: {dict(sorted(faults.done.items()))}; {traffic.records:,} records sent.")
            await asyncio.to_thread(run, environment, "worker", "--until-caught-up")
            await _compare(environment, traffic, _records_of_the_pipeline(servers.kafka.address, site.topic))
            print(run(environment, "doctor"))


async def _harm(faults: Faults, traffic: Traffic, seconds: float) -> None:
    """Traffic and faults, for so long."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    timer = loop.call_later(seconds, stopped.set)
    traffic.start(lambda: loop.call_soon_threadsafe(stopped.set))
    try:
        await faults.run(stopped)
    finally:
        timer.cancel()
        await asyncio.to_thread(traffic.stop)


async def _compare(environment: Environment, traffic: Traffic, own: Counter[str]) -> None:
    expected = traffic.expectation
    # A repair record that was written twice, because the writer died before it could note the first, is a
    # copy like any other.
    expected.outcomes["duplicate"] += own["repair"] - expected.codes["misplaced"]
    expected.outcomes["tick"] = own["tick"]
    connection = await asyncpg.connect(environment["METERING_POSTGRES_DSN"])
    try:
        outcomes = Counter(dict(await connection.fetchrow(_OUTCOMES) or {}))
        codes = Counter({row["code"]: row["count"] for row in await connection.fetch(_CODES)})
    finally:
        await connection.close()
    records = outcomes.total() - outcomes.pop("gap")
    _same("records", {"all": traffic.records + own.total()}, {"all": records})
    _same("outcomes", expected.outcomes, outcomes)
    _same("codes in quarantine", expected.codes, codes)
    _same("windows", dict(expected.windows()), dict(_counted_windows(environment)))


def _same(what: str, expected: Mapping[Any, Any], found: Mapping[Any, Any]) -> None:
    wrong = {
        key: (expected.get(key, 0), found.get(key, 0))
        for key in expected.keys() | found.keys()
        if expected.get(key, 0) != found.get(key, 0)
    }
    if wrong:
        shown = "\n".join(
            f"  {key}: {sent} sent, {counted} counted" for key, (sent, counted) in wrong.items()
        )
        raise WrongError(f"{len(wrong)} of {len(expected)} {what} are wrong:\n{shown}")
    print(f"{len(expected):,} {what} are right.")


def _counted_windows(environment: Environment) -> Iterator[tuple[WindowName, Fraction]]:
    for meter in WINDOWS_US:
        group = ("--group-by", "model") if meter == "tokens" else ()
        lines = run(environment, "totals", "--meter", meter, *group, "--by-window", "--json").splitlines()
        for line in map(json.loads, lines):
            name = WindowName(
                meter, line["subject"], line["group"].get("model"), parse_time_us(line["start"])
            )
            yield name, Fraction(line["value"])


def _records_of_the_pipeline(bootstrap_servers: str, topic: str) -> Counter[str]:
    """How many ticks and repair records the workers have written to the topic."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap_servers,
            "group.id": "soak-looks-back",
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "error",
        }
    )
    own: Counter[str] = Counter()
    ended = 0
    try:
        consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in range(PARTITIONS)])
        while ended < PARTITIONS:
            message = consumer.poll(POLL_S)
            if message is None:
                raise RuntimeError(f"{topic} cannot be read back")
            error = message.error()
            if error is not None:
                if error.code() != KafkaError._PARTITION_EOF:  # noqa: SLF001 - its public name
                    raise RuntimeError(f"{topic} cannot be read back: {error}")
                ended += 1
            elif b'"metering.control.tick"' in (message.value() or b""):
                own["tick"] += 1
            elif "metering-repair" in dict(message.headers() or ()):
                own["repair"] += 1
    finally:
        consumer.close()
    return own


def _say(what: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {what}", flush=True)


def main() -> None:
    """Soak for SECONDS (default 600) with SEED (default: a new one)."""
    seconds = float(os.environ.get("SECONDS") or 600)
    seed = int(os.environ.get("SEED") or secrets.randbelow(2**31))
    again = f"SECONDS={seconds:.0f} SEED={seed}"
    print(f"Soaking: {again}", flush=True)
    try:
        asyncio.run(soak(seconds, seed))
    except BaseException:
        print(f"FAILED: make soak {again}", file=sys.stderr, flush=True)
        raise
    print(f"Everything is right: {again}")


if __name__ == "__main__":
    main()
