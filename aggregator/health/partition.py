"""How a partition does, judged by its recent past instead of by a threshold of lag.

The states are Burrow's (https://github.com/linkedin/Burrow/wiki/Consumer-Lag-Evaluation-Rules), with the
database in place of Kafka's committed offsets: it knows when an offset moved last, who moved it, and why it
does not move any more. Nothing here is decided by how large the lag is, only by what becomes of it.
"""

from collections.abc import Sequence
from enum import StrEnum
from itertools import pairwise
from typing import NamedTuple


class State(StrEnum):
    """What can be said of a partition, the best first."""

    OK = "ok"  # caught up at some moment of the window, or its lag has not grown all the time
    WARNING = "warning"  # it is counted, but its lag has grown over the whole window
    NO_OWNER = "no_owner"  # nobody is connected for it, and nobody has claimed or flushed it for the limit
    STALLED = "stalled"  # over the whole window it had records to count and an owner, and has not moved
    REWOUND = "rewound"  # the next offset or the log's end went back, or the log ends before the next offset
    STOPPED = "stopped"  # its owner has set it aside, with a code: a person has to decide

    @property
    def badness(self) -> int:
        """Greater is worse."""
        return list(State).index(self)


class Observation(NamedTuple):
    """A partition at one moment; times are of one clock."""

    at_us: int
    next_offset: int
    end_offset: int | None  # of the log; read after `next_offset`; None: no broker answered
    owned_us: int | None  # the last moment at which it surely had an owner; None: it never had one
    claimed_us: int | None  # when its owner claimed it; None: nobody ever did
    moved_us: int | None  # when its offset moved last; None: never
    is_stopped: bool

    @property
    def lag_records(self) -> int | None:
        """Offsets in the log that are not counted yet."""
        return None if self.end_offset is None else max(0, self.end_offset - self.next_offset)

    @property
    def owner_has_moved_it(self) -> bool:
        """Whether its owner has counted anything since the claim."""
        return self.moved_us is not None and (self.claimed_us is None or self.moved_us > self.claimed_us)

    def has_owner(self, limit_us: int) -> bool:
        """Whether it has one now, or has been without for less than the limit."""
        return self.owned_us is not None and self.at_us - self.owned_us < limit_us


def remembered(newest: Observation, waiting_since_us: int | None) -> Observation | None:
    """An earlier observation that nobody had to make: what servers remember of the time before `newest`.

    Since its offset moved last, since its owner claimed it, and since the oldest record that is not counted
    was appended, the partition has stood where it stands, with at least that one record to count.

    Args:
        newest: what is seen now.
        waiting_since_us: when the oldest uncounted record was appended, by the same clock; None: not known.
    """
    if waiting_since_us is None or not newest.lag_records:
        return None
    since_us = max(
        waiting_since_us, newest.moved_us or waiting_since_us, newest.claimed_us or waiting_since_us
    )
    if since_us >= newest.at_us:
        return None
    return newest._replace(
        at_us=since_us, end_offset=newest.next_offset + 1, owned_us=since_us, is_stopped=False
    )


def extended(window: Sequence[Observation], newest: Observation, limit_us: int) -> list[Observation]:
    """The window with one more observation: as many as span the limit, and no older ones."""
    longer = [*window, newest]
    spanning = [one for one in longer if one.at_us <= newest.at_us - limit_us]
    return longer[max(0, len(spanning) - 1) :]


def partition_state(window: Sequence[Observation], limit_us: int) -> State | None:
    """Judge a partition by a window of observations.

    Args:
        window: the oldest first, at least one.
        limit_us: the past that is judged; a window that spans less can only say that something is wrong
            if that shows at once.

    Returns:
        None if it depends on where the log ends, and no broker says so.
    """
    newest = window[-1]
    if newest.is_stopped:
        return State.STOPPED
    if _has_rewound(window):
        return State.REWOUND
    if not newest.has_owner(limit_us):
        return State.NO_OWNER
    return None if newest.lag_records is None else _trend(window, limit_us)


def _trend(window: Sequence[Observation], limit_us: int) -> State:
    newest, oldest = window[-1], window[0]
    lags = [one.lag_records for one in window if one.lag_records is not None]
    if 0 in lags or newest.at_us - oldest.at_us < limit_us:
        return State.OK
    if all(one.next_offset == newest.next_offset for one in window):
        return State.STALLED if _had_an_owner(window, limit_us) else State.OK
    grows = all(later >= earlier for earlier, later in pairwise(lags)) and lags[-1] > lags[0]
    return State.WARNING if grows else State.OK


def _had_an_owner(window: Sequence[Observation], limit_us: int) -> bool:
    """Whether owners had it over the whole window, and not only for the moment since a claim.

    An owner that is new has as much time as any other; but not one that comes after another that has counted
    nothing. Where each ends before it has, the partition is stalled, however new the last one is.
    """
    newest, oldest = window[-1], window[0]
    is_new = newest.claimed_us != oldest.claimed_us and oldest.owner_has_moved_it
    return not is_new and all(one.has_owner(limit_us) for one in window)


def _has_rewound(window: Sequence[Observation]) -> bool:
    newest = window[-1]
    if newest.next_offset < max(one.next_offset for one in window):
        return True
    if newest.end_offset is None:
        return False
    ends = [one.end_offset for one in window if one.end_offset is not None]
    return newest.end_offset < max(ends) or newest.end_offset < newest.next_offset
