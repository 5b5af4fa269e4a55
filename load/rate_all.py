"""The rater with a stopwatch: what it takes to rate all that can be rated. As a program it prints JSON.

python -m cProfile -o rated.profile load/rate_all.py    # where its own time goes, with METERING_ settings
"""

import asyncio
import json
import time
from typing import NamedTuple

import psutil
import uvloop
from asyncpg.connection import LoggedQuery
from opentelemetry.metrics import NoOpMeterProvider

from aggregator.store.connection import StoreOptions, connect
from metering.process.exclusive import Turn
from metering.process.tuning import tune
from metering.rater import Rater
from metering.settings import Settings, load_settings
from metering.telemetry import Instruments


class Rated(NamedTuple):
    """What one process has taken, from its first step to the last."""

    steps: int
    seconds: float
    cpu_seconds: float  # of this process
    sql_seconds: float  # in which it waited for the database, or read its answer
    statements: int  # the beginnings and ends of transactions too
    rss_bytes_before: int
    rss_bytes_peak: int  # at the end of a step


class _Statements:
    """Counts statements and the time that they take."""

    def __init__(self) -> None:
        self.count = 0
        self.seconds = 0.0

    def __call__(self, query: LoggedQuery) -> None:
        self.count += 1
        self.seconds += query.elapsed


async def rate_all(settings: Settings) -> Rated:
    """Let a rater work until there is nothing left to do."""
    options = StoreOptions(schema=settings.postgres_schema, role=settings.postgres_role)
    connection = await connect(settings.postgres_dsn.get_secret_value(), options)
    statements = _Statements()
    connection.add_query_logger(statements)
    turn = Turn(connection, Instruments(NoOpMeterProvider().get_meter("load")), asyncio.Event())
    rater = Rater(settings)
    process = psutil.Process()
    before = peak = process.memory_info().rss
    began_s, began_cpu_s, steps, has_more = time.perf_counter(), time.process_time(), 0, True
    while has_more:
        has_more = await rater.step(turn)
        steps += 1
        peak = max(peak, process.memory_info().rss)
    seconds, cpu_seconds = time.perf_counter() - began_s, time.process_time() - began_cpu_s
    connection.remove_query_logger(statements)
    await connection.close()
    return Rated(steps, seconds, cpu_seconds, statements.seconds, statements.count, before, peak)


if __name__ == "__main__":
    tune()  # as every command does
    print(json.dumps(uvloop.run(rate_all(load_settings()))._asdict()))
