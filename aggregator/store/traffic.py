"""Reads what arrived lately, by the database's clock, for who wants to know what producers send."""

from typing import NamedTuple

from aggregator.store.connection import Connection
from aggregator.store.statements import STATEMENTS


class Outcomes(NamedTuple):
    """What became of records that no refusal names."""

    accepted: int
    duplicate: int


class Refused(NamedTuple):
    """Records that were refused for one reason, of one source, by all meters (None) or by one."""

    code: str
    source: str | None  # None: the record names none
    meter: str | None
    records: int


class Overflow(NamedTuple):
    """Events of a subject that were counted in a meter's `other` series."""

    meter: str
    subject: str
    events: int


async def outcomes(connection: Connection, last_us: int) -> Outcomes:
    """What was counted in the last so many microseconds, and what was recognised as a copy."""
    row = await connection.fetchrow(STATEMENTS["recent_outcomes"], last_us)
    return Outcomes(0, 0) if row is None else Outcomes(*row)


async def refusals(connection: Connection, last_us: int) -> list[Refused]:
    """What was refused in the last so many microseconds, the most first."""
    return [Refused(*row) for row in await connection.fetch(STATEMENTS["recent_refusals"], last_us)]


async def overflow(connection: Connection, last_us: int) -> list[Overflow]:
    """What has passed a cardinality limit in windows that began in the last so many microseconds."""
    return [Overflow(*row) for row in await connection.fetch(STATEMENTS["recent_overflow"], last_us)]
