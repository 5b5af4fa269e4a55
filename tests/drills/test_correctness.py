"""Somebody has changed what was counted."""

import pytest
from drills.drill import Drill
from drills.rehearsal import Rehearsal

from metering.dev.conditions import until

AS_ONE_WHO_KNOWS_HOW = "SET session_replication_role = replica"
FINAL = """
SELECT w.series_id, w.window_start, w.shard
FROM usage_window AS w JOIN series AS s USING (series_id) JOIN meter_version AS v USING (meter_version_id)
JOIN meter_watermark AS f USING (meter_version_id)
WHERE v.meter = 'tokens' AND w.window_start < f.final_before LIMIT 1
"""
CHANGE = "UPDATE usage_window SET value = value + $4 WHERE (series_id, window_start, shard) = ($1, $2, $3)"
REMOVE = """
WITH taken AS (
    DELETE FROM batch WHERE (partition, first_offset) = (
        SELECT partition, first_offset FROM batch WHERE partition = 1 ORDER BY first_offset OFFSET 2 LIMIT 1
    ) RETURNING *
) INSERT INTO saved SELECT * FROM taken
"""


@pytest.mark.drill(Drill("MeteringTotalsWrong", doctor={"proof", "window_totals"}, console="wrong of"))
async def test_corrupted_window_row(rehearsal: Rehearsal) -> None:
    system = rehearsal.system
    system.start("worker")
    await rehearsal.all_is_well()
    async with system.database() as somebody:
        await somebody.execute(AS_ONE_WHO_KNOWS_HOW)

        async def there_is_one() -> bool:
            return bool(await somebody.fetch(FINAL))

        assert await until(there_is_one, deadline_s=150)
        (window,) = await somebody.fetch(FINAL)
        await rehearsal.fires(lambda: somebody.execute(CHANGE, *window, 1))
        await rehearsal.clears(lambda: somebody.execute(CHANGE, *window, -1))


@pytest.mark.drill(
    Drill(
        "MeteringLedgerBroken",
        doctor={"proof", "ledger_gap"},
        console="or does not add up",
        consequences={"MeteringTotalsWrong"},
    )
)
async def test_missing_ledger_row(rehearsal: Rehearsal) -> None:
    system = rehearsal.system
    system.start("worker")
    await rehearsal.all_is_well()
    async with system.database() as somebody:
        await somebody.execute(AS_ONE_WHO_KNOWS_HOW)
        await somebody.execute("CREATE TABLE saved AS SELECT * FROM batch LIMIT 0")
        await rehearsal.fires(lambda: somebody.execute(REMOVE))
        await rehearsal.clears(lambda: somebody.execute("INSERT INTO batch SELECT * FROM saved"))
