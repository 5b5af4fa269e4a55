"""A duty whose database is away: told at the start, waited for later, and left at once when told to stop."""

import asyncio
from typing import Final

import pytest

from aggregator.store.connection import Connection
from metering.errors import UnreachableError, UsageError
from metering.process import exclusive
from metering.process.exclusive import Turn, serve
from metering.process.shutdown import Shutdown
from metering.settings import Settings


class Nothing:
    name: Final = "closer"
    interval_s = 1.0

    async def step(self, _turn: Turn) -> bool:
        raise AssertionError("it is nobody's turn")

    async def is_done(self, _connection: Connection) -> bool:
        raise AssertionError("there is no connection")


def settings(dsn: str = "postgresql://bob:s3cret@127.0.0.1:1/db") -> Settings:
    return Settings(postgres_dsn=dsn)  # type: ignore[arg-type]


@pytest.mark.parametrize("once", [False, True])
async def test_a_database_that_does_not_answer_at_the_start_is_told(
    monkeypatch: pytest.MonkeyPatch, *, once: bool
) -> None:
    monkeypatch.setattr(exclusive, "START_S", 0.2)
    with pytest.raises(UnreachableError, match="postgres_unreachable") as raised:
        await serve(settings(), Nothing(), Shutdown(), once=once)
    assert "s3cret" not in str(raised.value)


async def test_an_address_that_is_none_is_told_at_once() -> None:
    with pytest.raises(UsageError, match="METERING_POSTGRES_DSN"):
        await serve(settings("host=db"), Nothing(), Shutdown())


@pytest.mark.parametrize(("once", "code"), [(False, 0), (True, 130)])
async def test_who_is_told_to_stop_does_not_wait_for_a_database(*, once: bool, code: int) -> None:
    shutdown = Shutdown()
    serving = asyncio.create_task(serve(settings(), Nothing(), shutdown, once=once))
    await asyncio.sleep(0)
    shutdown.request()
    assert await serving == code
