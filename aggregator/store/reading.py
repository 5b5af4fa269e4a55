"""What is read over HTTP: usage and periods in pages, and whose a subscription is."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from aggregator.store import totals
from aggregator.store.connection import Connection
from aggregator.store.rated import Version
from aggregator.store.statements import STATEMENTS
from aggregator.store.totals import Total

_LATEST_US: Final = 2**63 - 1  # no window begins then; and a cursor has room for it
SUBJECTS_AT_ONCE: Final = 100
"""Most subjects that one page looks at: a page may end early, and the next goes on behind it."""


class Stretch(NamedTuple):
    """When a subject may be seen: usage of `[from_us, to_us)`; None: without bound."""

    from_us: int | None
    to_us: int | None


EVER: Final = Stretch(None, None)
Visible = Mapping[str, Sequence[Stretch]]


class Place(NamedTuple):
    """Where a row stands in the order of pages. It does not move when more is counted."""

    subject: str
    start_us: int  # of the window; of sums: of the stretch
    is_other: bool
    groups: tuple[tuple[bool, str], ...]
    aggregation: str


@dataclass(frozen=True, slots=True)
class UsageQuery:
    """What is asked for; the meter exists."""

    meter: str
    meter_version_ids: Sequence[int]
    window_us: int  # the longest of its versions
    subject: str | None
    visible: Visible | None  # None: every subject, ever
    group_by: Sequence[str]
    span: Stretch
    by_window: bool


@dataclass(frozen=True, slots=True)
class UsagePage:
    """Some rows in order, and the place to go on from; None: there are no more."""

    rows: Sequence[Total]
    end: Place | None


async def customer_of(connection: Connection, subscription: str) -> str | None:
    """Whose a subscription is; None: there is none of this name."""
    found: str | None = await connection.fetchval(STATEMENTS["customer_of_subscription"], subscription)
    return found


async def rated_periods(
    connection: Connection, subscription: str, after_us: int, limit: int
) -> list[Version]:
    """The newest version of each rated period of a subscription that begins later, in order of time."""
    rows = await connection.fetch(STATEMENTS["rated_periods_page"], subscription, after_us, limit)
    return [Version(*row) for row in rows]


async def usage(connection: Connection, query: UsageQuery, after: Place | None, limit: int) -> UsagePage:
    """The next rows behind a place; call it within a transaction that sees one state."""
    found: list[tuple[Place, Total]] = []
    subjects = await next_subjects(
        connection,
        query.meter_version_ids,
        query.subject,
        query.visible,
        "" if after is None else after.subject,
        SUBJECTS_AT_ONCE,
    )
    for subject in subjects:
        for stretch in stretches_seen(query.visible, query.span, query.window_us, subject):
            found += [one for one in await _rows(connection, query, subject, stretch) if _behind(one, after)]
        if len(found) > limit:
            page = sorted(found)[:limit]
            return UsagePage([row for _, row in page], page[-1][0])
    rows = [row for _, row in sorted(found)]
    more = len(subjects) == SUBJECTS_AT_ONCE
    return UsagePage(rows, _all_of(subjects[-1]) if more else None)


def _behind(one: tuple[Place, Total], after: Place | None) -> bool:
    return after is None or one[0] > after


def _all_of(subject: str) -> Place:
    """The place behind everything of a subject."""
    return Place(subject, _LATEST_US, is_other=True, groups=(), aggregation="")


async def next_subjects(
    connection: Connection,
    meter_version_ids: Sequence[int],
    subject: str | None,
    visible: Visible | None,
    first: str,
    limit: int,
) -> list[str]:
    """The next subjects with usage that are asked for and may be seen, `first` among them if it has any."""
    only = None if visible is None else list(visible)
    if subject is not None:
        only = [subject] if only is None or subject in only else []
    if only is not None and not only:
        return []
    rows = await connection.fetch(STATEMENTS["usage_subjects"], meter_version_ids, first, only, limit)
    return [row["subject"] for row in rows]


def stretches_seen(visible: Visible | None, span: Stretch, window_us: int, subject: str) -> Iterator[Stretch]:
    """The parts of a span in which a subject may be seen.

    A window that reaches beyond a stretch holds what somebody else may see: it is left out.
    """
    for stretch in [EVER] if visible is None else visible[subject]:
        whole_us = None if stretch.to_us is None else stretch.to_us // window_us * window_us
        starts = [us for us in (span.from_us, stretch.from_us) if us is not None]
        ends = [us for us in (span.to_us, whole_us) if us is not None]
        yield Stretch(max(starts, default=None), min(ends, default=None))


async def _rows(
    connection: Connection, query: UsageQuery, subject: str, stretch: Stretch
) -> list[tuple[Place, Total]]:
    read = totals.windows if query.by_window else totals.sums
    rows = await read(
        connection,
        query.meter,
        subject=subject,
        group_by=query.group_by,
        from_us=stretch.from_us,
        to_us=stretch.to_us,
    )
    return [(_place(row, stretch, by_window=query.by_window), row) for row in rows]


def _place(row: Total, stretch: Stretch, *, by_window: bool) -> Place:
    return Place(
        row.subject,
        row.start_us if by_window else stretch.from_us or 0,
        row.is_other,
        tuple((value is not None, value or "") for value in row.groups.values()),
        row.aggregation,
    )
