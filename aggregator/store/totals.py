"""What was used: windows, or their sums over a range, of all versions of one meter."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Final, NamedTuple

from aggregator.store.connection import BEGINNING_US, END_US, Connection, json_text
from aggregator.store.statements import STATEMENTS
from schemas.catalog import Meter

_LAST_TEXT: Final = "\U0010ffff" * 257  # after every subject, which has 256 characters at most


class Total(NamedTuple):
    """What one subject used in one window, or in all windows of a range.

    `value` holds everything, `on_time_value` only what came before its window was final (None: nothing did).
    By aggregation it is the sum, the number of events, the least, the greatest or the last value, or the
    number of different members. Of a gauge whose points were all withdrawn it is None, and so it is where a
    correction has left nothing of a least, greatest or last value. `groups` is by name, None where an event
    has no such value or a version of the meter no such group; all are None for `other`, which holds what a
    cardinality limit turned away. `adjustment_events` are late events less withdrawn ones, with what was
    corrected, so the rest of `events` came on time.
    """

    aggregation: str
    subject: str
    groups: Mapping[str, str | None]
    is_other: bool
    start_us: int  # of the first window in it
    end_us: int  # of the last
    value: Decimal | None
    on_time_value: Decimal | None
    events: int
    adjustment_events: int

    @property
    def average(self) -> Fraction | None:
        """The value per event, exact; only a sum has one."""
        if self.aggregation != "sum" or self.value is None or not self.events:
            return None
        return Fraction(self.value) / self.events


async def windows(
    connection: Connection,
    meter: str,
    *,
    subject: str | None = None,
    groups: Mapping[str, str | None] | None = None,
    group_by: Sequence[str] | None = None,
    from_us: int | None = None,
    to_us: int | None = None,
) -> list[Total]:
    """Every window of a meter, in order of time.

    Args:
        connection: any role may read this.
        meter: its name; unknown ones have no windows.
        subject: only this one.
        groups: only windows with these group values; None for those without.
        group_by: names to tell windows apart by; every name that a version of the meter has, unless told.
        from_us: only windows that start here or later.
        to_us: only windows that start earlier.
    """
    return await _totals(connection, meter, subject, groups, group_by, (from_us, to_us), by_window=True)


async def sums(
    connection: Connection,
    meter: str,
    *,
    subject: str | None = None,
    groups: Mapping[str, str | None] | None = None,
    group_by: Sequence[str] = (),
    from_us: int | None = None,
    to_us: int | None = None,
) -> list[Total]:
    """One total per subject and group values, over all windows of a range; see `windows`.

    Versions of a meter that aggregate differently have totals of their own.
    """
    return await _totals(connection, meter, subject, groups, group_by, (from_us, to_us), by_window=False)


async def _totals(
    connection: Connection,
    meter: str,
    subject: str | None,
    groups: Mapping[str, str | None] | None,
    group_by: Sequence[str] | None,
    range_us: tuple[int | None, int | None],
    *,
    by_window: bool,
) -> list[Total]:
    versions = {
        row["meter_version_id"]: Meter.from_definition(row["definition"])
        for row in await connection.fetch(STATEMENTS["versions_of_meter"], meter)
    }
    if group_by is None:
        group_by = list(dict.fromkeys(name for version in versions.values() for name in version.group_by))
    wanted = groups or {}
    from_us, to_us = range_us
    rows = await connection.fetch(
        STATEMENTS["totals"],
        list(versions),
        [version.aggregation for version in versions.values()],
        [version.window_us for version in versions.values()],
        [_places([*group_by, *wanted], version) for version in versions.values()],
        "" if subject is None else subject,
        _LAST_TEXT if subject is None else subject,
        BEGINNING_US if from_us is None else from_us,
        END_US if to_us is None else to_us,
        by_window,
        list(range(len(group_by) + 1, len(group_by) + len(wanted) + 1)),
        list(wanted.values()),
    )
    return [
        Total(
            aggregation=row["aggregation"],
            subject=row["subject"],
            groups=dict(zip(group_by, row["groups"], strict=False)),
            is_other=row["is_other"],
            start_us=row["first_start"],
            end_us=row["last_end"],
            value=row["value"],
            on_time_value=row["on_time_value"],
            events=row["events"],
            adjustment_events=row["adjustment_events"],
        )
        for row in rows
    ]


def _places(names: Sequence[str], version: Meter) -> str:
    places = {name: place for place, name in enumerate(version.group_by, start=1)}
    return json_text([places.get(name) for name in names])
