"""What subjects used, as rating reads it: series by series, before groups and windows are rolled up."""

from decimal import Decimal
from typing import NamedTuple

Groups = tuple[str | None, ...] | None
"""A series' group values in the order of its meter version; None for `other`."""


class Asked(NamedTuple):
    """One question: what did this subject use of this meter version?

    `start_us` and `end_us` bound the starts of windows, half-open. Adjustments count if their log time is
    before the cut; all of them if there is none.
    """

    request: int  # of the caller's choice; several questions may share one
    meter_version_id: int
    subject: str
    start_us: int
    end_us: int
    cut_us: int | None
    aggregation: str


class Sum(NamedTuple):
    """All windows of one series, as its aggregation merges them; `value` is None for `unique`.

    And of `min`, `max` and `last` it is None if corrections have left nothing. `value_time_us` and
    `value_offset` are of a `last` value.
    """

    request: int
    meter_version_id: int
    groups: Groups
    events: int
    value: Decimal | None
    value_time_us: int | None
    value_offset: int | None


class Window(NamedTuple):
    """One window of one series; see `Sum`."""

    request: int
    meter_version_id: int
    groups: Groups
    start_us: int
    events: int
    value: Decimal | None
    value_time_us: int | None
    value_offset: int | None


class Members(NamedTuple):
    """The different members of one series of a `unique` meter."""

    request: int
    meter_version_id: int
    groups: Groups
    members: frozenset[str]


class Point(NamedTuple):
    """A point of one series of a `gauge` meter; of those before the range only the last, carried in."""

    request: int
    meter_version_id: int
    groups: Groups
    time_us: int
    offset: int
    value: Decimal
