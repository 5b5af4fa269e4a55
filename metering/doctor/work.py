"""Who is at work, and whether what there is to do is being done."""

from collections.abc import Sequence
from typing import Final

from aggregator.finality import Waiting
from aggregator.health.partition import State
from aggregator.health.severity import Severity
from aggregator.store.server import WaitingWork
from metering.doctor.check import Check, Result, found, holds, judged
from metering.observer.counted import CLOSER, OBSERVER, RATER, Accounts
from metering.observer.look import Standing
from metering.texts import duration_text, time_text

LATE_US: Final = 60_000_000
"""Who is at work does within a minute, by the log, what there is to do."""

OLD_US: Final = 120_000_000
"""So much older than the newest record may be what is counted, as the alert MeteringPartitionLate says."""

AHEAD_US: Final = 5_000_000
"""Clocks of servers differ by a little: a few seconds are no skew."""

STOPS: Final = Check(
    "stops",
    Severity.CRITICAL,
    "No partition is stopped.",
    "Each code has its section in docs/runbook.md: a person has to decide, then restart the workers.",
)
PARTITIONS: Final = Check(
    "partitions",
    Severity.CRITICAL,
    "Every partition that has records to count is counted.",
    "Start workers; the log of one that ends or does not get on says why: docs/runbooks/no-worker.md.",
)
LATE: Final = Check(
    "late",
    Severity.WARNING,
    "What is counted is less than two minutes older than the newest record.",
    "See `metering status --watch`: if the lag does not fall, start workers, up to one for each partition.",
)
OWNERS: Final = Check(
    "owners",
    Severity.INFO,
    "Every partition has an owner that is connected.",
    "Start `metering worker`. Why one ends at once its last line says, and this command with its settings.",
)
DATA_LOSS: Final = Check(
    "data_loss",
    Severity.CRITICAL,
    "Every record that is not counted is still in the log.",
    "See `offset_out_of_range` in docs/runbook.md: publish from an archive, or book the hole as lost.",
)
TIME_LEFT: Final = Check(
    "time_left",
    Severity.CRITICAL,
    "Records that wait to be counted have most of their retention before them.",
    "Start workers before Kafka deletes them, or raise `retention_ms` and run `metering topics apply`.",
)
LOG_AHEAD: Final = Check(
    "log_ahead",
    Severity.WARNING,
    "No record is from the future, by the database's clock.",
    "Correct the clock of the partition's leader: workers stop with `clock_jump` at 5 minutes.",
)
OBSERVER_AT_WORK: Final = Check(
    "observer",
    Severity.INFO,
    "Somebody reports lag and states while no worker runs.",
    "Start `metering observe`: alerts about workers that are gone rest on it.",
)
FINALITY: Final = Check(
    "finality",
    Severity.WARNING,
    "No partition holds back what the others have finished.",
    "`metering finality` names the partition: its worker is away, stopped or behind.",
)
CLOSER_AT_WORK: Final = Check(
    "closer",
    Severity.WARNING,
    "What can be made final is made final.",
    "Start `metering close`, or restart the one that is at work and does not get on.",
)
RATER_AT_WORK: Final = Check(
    "rater",
    Severity.WARNING,
    "What can be rated is rated.",
    "Start `metering rate`, or look at the log of the one at work.",
)
DUTIES_AT_WORK: Final = Check(
    "duties",
    Severity.INFO,
    "A closer and a rater are at work.",
    "Start what the rows name: until then nothing becomes final, or nothing is rated.",
)
ABOUT_WORK: Final = (STOPS, FINALITY, CLOSER_AT_WORK, RATER_AT_WORK, DUTIES_AT_WORK, OBSERVER_AT_WORK)
"""Known from the database alone."""

ABOUT_LOGS: Final = (PARTITIONS, LATE, OWNERS, DATA_LOSS, LOG_AHEAD)
"""Known from both servers."""

CHECKS: Final = (*ABOUT_WORK, *ABOUT_LOGS, TIME_LEFT)


def examine_work(accounts: Accounts, waiting: WaitingWork) -> list[Result]:
    """What the database says of those at work."""
    stops = [stop._asdict() for stop in accounts.stops]
    return [
        judged(STOPS, stops, "The worker of a partition may not count on, and a person has to decide."),
        _finality(accounts),
        _closer(accounts, waiting),
        _rater(accounts, waiting),
        _duties(accounts),
        _observer(accounts),
    ]


def examine_logs(accounts: Accounts, standings: Sequence[Standing], took_us: int) -> list[Result]:
    """What the logs say of what is counted.

    Args:
        accounts: what the database says.
        standings: the same, with the brokers' word.
        took_us: at most so long after the database's clock was read the logs were looked at.
    """
    waiting = [one for one in standings if one.state in _BAD and (one.lag_records or _is_rewound(one))]
    late = [_row(one) for one in standings if one.lag_us is not None and one.lag_us > OLD_US]
    unowned = [
        _row(one)
        for one in standings
        if (one.state is State.NO_OWNER or not one.status.is_connected) and one not in waiting
    ]
    lost = [
        {
            "partition": one.status.partition,
            "next_offset": one.status.next_offset,
            "start_offset": one.log.start_offset,
            "records": one.log.start_offset - one.status.next_offset,
        }
        for one in standings
        if one.log is not None and one.log.start_offset > one.status.next_offset
    ]
    return [
        judged(PARTITIONS, [_row(one) for one in waiting], "Records wait uncounted, or the log went back."),
        judged(LATE, late, "What is counted is more than two minutes older than the newest record."),
        judged(OWNERS, unowned, "No worker is connected for these partitions."),
        judged(DATA_LOSS, lost, "Kafka has deleted records before they were counted."),
        _log_ahead(accounts, standings, took_us),
    ]


def examine_time_left(standings: Sequence[Standing], retention_us: int | None) -> Result:
    """Whether what waits will be counted before Kafka may delete it; None: it is kept for ever."""
    if retention_us is None:
        return holds(TIME_LEFT, "The log is kept for ever.")
    rows = [
        {
            "partition": one.status.partition,
            "waiting_since": time_text(one.log.waiting_since_us),
            "left_s": (one.log.waiting_since_us + retention_us - one.status.read_us) / 1e6,
        }
        for one in standings
        if one.log is not None
        and one.log.waiting_since_us is not None
        and one.log.waiting_since_us + retention_us - one.status.read_us < retention_us / 2
    ]
    return judged(TIME_LEFT, rows, "Records have waited for half of their retention or longer.")


def _log_ahead(accounts: Accounts, standings: Sequence[Standing], took_us: int) -> Result:
    if accounts.topic is None or not accounts.topic.times_are_appends:
        return holds(LOG_AHEAD, "On this topic its writers choose the time.")
    ahead_us = {
        one.status.partition: one.log.newest_us - one.status.read_us - took_us
        for one in standings
        if one.log is not None and one.log.newest_us is not None
    }
    rows = [
        {"partition": partition, "ahead_s": by_us / 1e6}
        for partition, by_us in ahead_us.items()
        if by_us > AHEAD_US
    ]
    return judged(LOG_AHEAD, rows, "The newest record is from the future, by the database's clock.")


_BAD: Final = (State.NO_OWNER, State.STALLED, State.REWOUND)


def _is_rewound(one: Standing) -> bool:
    """Then its log ends before what was counted, so nothing seems to wait."""
    return one.state is State.REWOUND


def _row(one: Standing) -> dict[str, object]:
    return {
        "partition": one.status.partition,
        "state": None if one.state is None else one.state.value,
        "owner": one.status.owner,
        "lag_records": one.lag_records,
        "waiting_since": None if one.log is None else time_text(one.log.waiting_since_us),
    }


def _finality(accounts: Accounts) -> Result:
    if accounts.topic is not None and not accounts.topic.times_are_appends:
        return holds(FINALITY, "On this topic nothing moves by itself: its writers choose the time.")
    rows = [
        {
            "meter": one.meter,
            "partition": one.partition,
            "frontier": time_text(one.frontier_us),
            "overdue_s": one.overdue_us / 1e6,
        }
        for one in accounts.meters
        if one.waiting_for is Waiting.PARTITION and one.overdue_us > LATE_US
    ]
    return judged(FINALITY, rows, "A partition holds back what the others have finished.")


def _closer(accounts: Accounts, waiting: WaitingWork) -> Result:
    late = [
        {
            "meter": one.meter,
            "final_before": time_text(one.final_before_us),
            "overdue_s": one.overdue_us / 1e6,
        }
        for one in accounts.meters
        if one.waiting_for is Waiting.CLOSER and one.overdue_us > LATE_US
    ]
    holder = accounts.at_work[CLOSER]
    if not late:
        return holds(
            CLOSER_AT_WORK, f"{holder} is at work." if holder else "Nobody is at work; nothing waits."
        )
    if holder is None:
        return found(CLOSER_AT_WORK, "Windows wait to be made final, and no closer is at work.", late)
    read_us, closed_us = accounts.read_us, waiting.closed_us
    if read_us is None or closed_us is None or read_us - closed_us <= LATE_US:
        return holds(CLOSER_AT_WORK, f"{holder} is at work.")
    since = duration_text(read_us - closed_us)
    return found(CLOSER_AT_WORK, f"{holder} has the turn, and has closed nothing for {since}.", late)


def _duties(accounts: Accounts) -> Result:
    rows = [
        {"duty": duty, "command": command}
        for duty, command in ((CLOSER, "metering close"), (RATER, "metering rate"))
        if accounts.at_work[duty] is None
    ]
    nobody = " and ".join(f"no {row['duty']}" for row in rows).capitalize()
    return judged(DUTIES_AT_WORK, rows, f"{nobody} is at work.")


def _observer(accounts: Accounts) -> Result:
    holder = accounts.at_work[OBSERVER]
    if holder is None:
        return found(OBSERVER_AT_WORK, "No observer is at work: nobody reports for workers that are gone.")
    return holds(OBSERVER_AT_WORK, f"{holder} is at work.")


def _rater(accounts: Accounts, waiting: WaitingWork) -> Result:
    holder = accounts.at_work[RATER]
    if holder is not None:
        return holds(RATER_AT_WORK, f"{holder} is at work.")
    if not waiting.due_periods:
        return holds(RATER_AT_WORK, "Nobody is at work; nothing waits.")
    return found(RATER_AT_WORK, f"{waiting.due_periods:,} periods wait to be rated, and no rater is at work.")
