"""Servers that are away, or slow."""

from drills.drill import Drill


async def test_postgres_down(drill: Drill) -> None:
    drill.system.start("worker")
    await drill.all_is_well()
    await drill.fires("MeteringPostgresDown", drill.system.postgres.kill, doctor={"postgres"})
    await drill.clears(drill.system.postgres.start)
