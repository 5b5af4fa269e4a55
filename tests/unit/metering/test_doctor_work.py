"""What the doctor says of logs: how late counting is, and whose clock is ahead, by the clock of the look."""

from collections.abc import Sequence
from types import MappingProxyType

from aggregator.batch import Outcomes
from aggregator.health.partition import State
from aggregator.store.status import CountedTopic, PartitionStatus
from metering.doctor import work
from metering.doctor.check import Check, Outcome, Result
from metering.observer.counted import Accounts
from metering.observer.logs import LogPosition
from metering.observer.look import Standing

NOW_US = 1_000_000_000_000
SECOND_US = 1_000_000


def standing(frontier_us: int, newest_us: int) -> Standing:
    """A partition with ten records to count; the newest is of this time."""
    status = PartitionStatus(
        partition=0,
        epoch=1,
        owner="a",
        claimed_us=NOW_US,
        first_offset=0,
        next_offset=90,
        frontier_us=frontier_us,
        newest_time_us=frontier_us,
        outcomes=Outcomes(),
        unmetered=0,
        flushed_us=NOW_US,
        is_connected=True,
        read_us=NOW_US,
    )
    return Standing(status, LogPosition(0, 100, newest_us, frontier_us), State.WARNING)


def outcome(check: Check, standings: Sequence[Standing], took_s: int = 0) -> Outcome:
    return result(check, standings, took_s).outcome


def result(check: Check, standings: Sequence[Standing], took_s: int) -> Result:
    accounts = Accounts(
        topic=CountedTopic("usage", 1, "broker", 0),
        partitions=[one.status for one in standings],
        catalog_head=0,
        closing_us=None,
        meters=(),
        versions=MappingProxyType({}),
        reached_us=None,
        at_work=MappingProxyType({}),
        stops=(),
        outbox_pending=0,
        proofs=MappingProxyType({}),
        accuracy=None,
    )
    results = work.examine_logs(accounts, standings, took_s * SECOND_US)
    return next(one for one in results if one.check is check)


def test_counting_is_late_beyond_two_minutes_by_the_logs_own_clock() -> None:
    for late_s, found in ((0, Outcome.OK), (120, Outcome.OK), (121, Outcome.FOUND)):
        frontier_us = NOW_US - 3600 * SECOND_US
        assert outcome(work.LATE, [standing(frontier_us, frontier_us + late_s * SECOND_US)]) is found


def test_a_log_that_went_back_is_found_though_nothing_waits() -> None:
    one = standing(NOW_US, NOW_US)
    shorter = Standing(one.status, LogPosition(0, 10, NOW_US, None), State.REWOUND)
    assert shorter.lag_records == 0
    assert outcome(work.PARTITIONS, [shorter]) is Outcome.FOUND


def test_a_record_that_came_while_it_was_looked_is_not_from_the_future() -> None:
    newer = [standing(NOW_US, NOW_US + 7 * SECOND_US)]
    assert outcome(work.LOG_AHEAD, newer) is Outcome.FOUND
    assert outcome(work.LOG_AHEAD, newer, took_s=3) is Outcome.OK
    (row,) = result(work.LOG_AHEAD, newer, took_s=1).rows
    assert row == {"partition": 0, "ahead_s": 6.0}
