"""Refused records in a world whose log stands in March: some can be brought back, some cannot."""

import time

from integration.rating.world import World

from schemas.instant import HOUR_US

HOSTILE = "<script>alert(1)</script>\u202e"


def soon_us() -> int:
    """A time that the log had not reached, and that is past by now: a broker would append a repair today."""
    return (time.time_ns() // 1000 // HOUR_US - 1) * HOUR_US


async def refuse(world: World) -> None:
    """1500 tokens of acme-eu that came too early, worth 4 EUR; a hostile one; and one without its value."""
    world.advance(60)
    world.event("acme-eu", {"n": 1500, "model": "large"}, at_us=soon_us())
    world.event("umbrella", {"n": 10, "model": HOSTILE}, at_us=soon_us())
    world.event("acme-eu", {"model": "large"})
    world.tick()
    await world.count_close_rate()


async def refuse_one_more(world: World) -> None:
    """Another that came too early."""
    world.event("acme-eu", {"n": 1, "model": "large"}, at_us=soon_us())
    world.tick()
    await world.count_all()


async def decided(world: World) -> list[tuple[str, str, str]]:
    """What the audit log knows: who did what, and why."""
    rows = await world.connection.fetch(
        "SELECT who, action, detail ->> 'reason' AS reason FROM audit WHERE action LIKE 'quarantine.%'"
        " ORDER BY audit_id"
    )
    return [(row["who"], row["action"], row["reason"]) for row in rows]


async def on_their_way(world: World) -> int:
    """How many records the workers would publish."""
    count: int = await world.connection.fetchval("SELECT count(*) FROM redrive_outbox")
    return count
