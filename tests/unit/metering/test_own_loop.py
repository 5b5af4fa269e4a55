"""The loop beside the process's own."""

import asyncio
import threading
from collections.abc import Iterator

import pytest

from metering.process.own_loop import OwnLoop


@pytest.fixture
def own_loop() -> Iterator[OwnLoop]:
    made = OwnLoop("beside")
    yield made
    made.close(lambda: None)


async def test_it_goes_on_while_the_process_has_no_time(own_loop: OwnLoop) -> None:
    answered = threading.Event()

    async def trips() -> str:
        for _ in range(10):
            await asyncio.sleep(0)
        answered.set()
        return "done"

    waiting = asyncio.create_task(own_loop.run(trips()))
    await asyncio.sleep(0)  # handed over
    assert answered.wait(30)  # this loop does nothing meanwhile
    assert await waiting == "done"


async def test_an_error_is_the_callers(own_loop: OwnLoop) -> None:
    async def fails() -> None:
        raise LookupError("not there")

    with pytest.raises(LookupError, match="not there"):
        await own_loop.run(fails())


async def test_who_is_cancelled_cancels_the_work(own_loop: OwnLoop) -> None:
    begun, ended = threading.Event(), threading.Event()

    async def works() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    waiting = asyncio.create_task(own_loop.run(works()))
    await asyncio.sleep(0)
    assert begun.wait(30)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert ended.wait(30)


async def test_closing_ends_what_still_runs_and_does_the_last_thing_after_it() -> None:
    made = OwnLoop("beside")
    begun = threading.Event()
    seen = []

    async def works() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            seen.append("ended")

    waiting = asyncio.create_task(made.run(works()))
    await asyncio.sleep(0)
    assert begun.wait(30)
    made.close(lambda: seen.append("last"))
    assert seen == ["ended", "last"]
    with pytest.raises(asyncio.CancelledError):
        await waiting
