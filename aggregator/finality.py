"""What is final: windows that nothing on time can reach any more, for every partition has moved past them.

An event is on time for a window iff `F(o) < window end + grace`, and a partition's frontier F only grows. So
once every partition's frontier has reached a window's end and grace, whatever is still to come is late for
it: it is final, without a lock and without a clock.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple


class Rule(NamedTuple):
    """What finality needs to know of one meter version."""

    meter_version_id: int
    meter: str
    version: int
    window_us: int
    grace_us: int
    effective_from_us: int | None  # None: from the beginning
    retired: bool  # it counts nothing: the meter has no windows from there on


class Watermark(NamedTuple):
    """All windows of a meter version that begin before `final_before_us` are final."""

    meter_version_id: int
    window_us: int
    grace_us: int
    final_before_us: int  # a boundary of its windows


class Frontier(NamedTuple):
    """How far a partition's log is counted; None: it has no record yet."""

    partition: int
    frontier_us: int | None


class Waiting(StrEnum):
    """What a meter's next window waits for."""

    TIME = "time"  # no partition's log has come so far
    PARTITION = "partition"  # some have, others have not
    CLOSER = "closer"  # all have: the next close makes it final
    NOTHING = "nothing"  # the meter is retired: there is no next window


@dataclass(frozen=True, slots=True)
class MeterFinality:
    """How far one meter is final, and what its next window waits for."""

    meter: str
    version: int  # the one that the next window belongs to
    final_before_us: int | None  # None: nothing is final yet
    next_end_us: int | None  # end of the next window; None: there is none, or nothing was closed yet
    needed_us: int | None  # the log time that makes it final
    waiting_for: Waiting
    partition: int | None  # the furthest behind; None: there are no partitions
    frontier_us: int | None  # its frontier; None: it has no record yet
    missing_us: int | None  # how far that is from what is needed; None: not known
    overdue_us: int  # by how much the foremost partition has passed what is needed


def log_time_us(frontiers_us: Iterable[int | None], partitions: int) -> int | None:
    """The log time that every partition's frontier has reached.

    Args:
        frontiers_us: all of one moment; None where a partition has no record yet.
        partitions: how many the topic has.

    Returns:
        None while a partition has no record: nothing can be said of what it may still hold.
    """
    known = [frontier for frontier in frontiers_us if frontier is not None]
    return min(known) if known and len(known) == partitions else None


def final_before_us(log_time_us: int, window_us: int, grace_us: int) -> int:
    """The end of the last window whose end and grace are within `log_time_us`: all before it are final."""
    return (log_time_us - grace_us) // window_us * window_us


def watermarks(rules: Iterable[Rule], log_time_us: int) -> list[Watermark]:
    """What is final of each meter version at a log time."""
    return [
        Watermark(
            rule.meter_version_id,
            rule.window_us,
            rule.grace_us,
            final_before_us(log_time_us, rule.window_us, rule.grace_us),
        )
        for rule in rules
    ]


def meter_final_before_us(versions: Sequence[Rule], final_before_us: Mapping[int, int]) -> int | None:
    """The instant before which every window of a meter is final, whichever of its versions it belongs to.

    Args:
        versions: all versions of one meter, in order.
        final_before_us: by meter version; a version without an entry has no final window yet.

    Returns:
        None if there is no such instant yet.
    """
    return _next(versions, final_before_us)[1]


def meter_finality(
    versions: Sequence[Rule], final_before_us: Mapping[int, int], frontiers: Sequence[Frontier]
) -> MeterFinality:
    """Where one meter stands; see `meter_final_before_us`."""
    rule, final_us = _next(versions, final_before_us)
    last = min(frontiers, key=_progress, default=None)
    first = max(frontiers, key=_progress, default=None)
    foremost_us = None if first is None else first.frontier_us
    end_us = None if final_us is None or rule.retired else final_us + rule.window_us
    needed_us = None if end_us is None else end_us + rule.grace_us
    frontier_us = None if last is None else last.frontier_us
    return MeterFinality(
        meter=rule.meter,
        version=rule.version,
        final_before_us=final_us,
        next_end_us=end_us,
        needed_us=needed_us,
        waiting_for=Waiting.NOTHING if rule.retired else _waiting_for(needed_us, foremost_us, frontier_us),
        partition=None if last is None else last.partition,
        frontier_us=frontier_us,
        missing_us=None if needed_us is None or frontier_us is None else max(0, needed_us - frontier_us),
        overdue_us=0 if needed_us is None or foremost_us is None else max(0, foremost_us - needed_us),
    )


def _next(versions: Sequence[Rule], final_before_us: Mapping[int, int]) -> tuple[Rule, int | None]:
    """The version that the next window belongs to, and where that window begins."""
    final_us: int | None = None
    for rule, successor in zip(versions, [*versions[1:], None], strict=True):
        watermark_us = final_before_us.get(rule.meter_version_id)
        if watermark_us is not None:
            start_us = rule.effective_from_us
            # A version's first window begins where it takes effect: what lies before is its predecessor's.
            final_us = watermark_us if start_us is None else max(watermark_us, start_us)
        end_us = None if successor is None else successor.effective_from_us
        if successor is None or watermark_us is None or final_us is None:
            return rule, final_us
        if end_us is not None:
            if final_us < end_us:
                return rule, final_us
            final_us = end_us
    raise ValueError("a meter has at least one version")


def _progress(one: Frontier) -> tuple[bool, int]:
    return one.frontier_us is not None, one.frontier_us or 0


def _waiting_for(needed_us: int | None, foremost_us: int | None, frontier_us: int | None) -> Waiting:
    if foremost_us is None:
        return Waiting.TIME  # no partition has a record
    if frontier_us is None:
        return Waiting.PARTITION
    if needed_us is None or frontier_us >= needed_us:
        return Waiting.CLOSER
    return Waiting.PARTITION if foremost_us >= needed_us else Waiting.TIME
