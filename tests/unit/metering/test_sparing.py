"""What costs much is asked for seldom."""

import asyncio

from metering.observer.sparing import SHARE, Sparing


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def test_asking_takes_at_most_its_share_of_the_time() -> None:
    clock = Clock()
    spared: Sparing[int] = Sparing(clock)
    asked: list[float] = []

    async def ask() -> int:
        asked.append(clock.now_s)
        clock.now_s += cost_s
        return len(asked)

    cost_s = 0.0
    assert [asyncio.run(spared.get(ask)) for _ in range(3)] == [1, 2, 3]  # it costs nothing
    cost_s = 2.0
    assert asyncio.run(spared.get(ask)) == 4
    for _ in range(SHARE - 1):
        clock.now_s += 2
        assert asyncio.run(spared.get(ask)) == 4
    clock.now_s += 2
    assert asyncio.run(spared.get(ask)) == 5
