"""What people decide about refused records: to bring them back, to correct them, to give them up.

A decision and its entry in the audit log are one transaction. What is brought back lies in the outbox from
then on: whoever is killed afterwards, it is published, and a second copy of it is a duplicate.
"""

from collections.abc import Sequence
from typing import Any, Final, Literal, NamedTuple

from aggregator.remedy import Ground
from aggregator.store import audit, load, status
from aggregator.store.connection import Connection
from aggregator.store.headers import Headers, stored_headers
from aggregator.store.quarantine import Kept, kept_of
from aggregator.store.statements import STATEMENTS

Action = Literal["redrive", "fix", "discard"]


class Place(NamedTuple):
    """Which row of the quarantine; meter version 0 is the record itself."""

    partition: int
    offset: int
    meter_version_id: int

    @property
    def name(self) -> str:
        """As the audit log calls it."""
        meter = f"/{self.meter_version_id}" if self.meter_version_id else ""
        return f"{self.partition}/{self.offset}{meter}"


BEGINNING: Final = Place(-1, -1, -1)


def place_of(kept: Kept) -> Place:
    """Which row it is."""
    refusal = kept.refusal
    return Place(refusal.partition, refusal.offset, refusal.meter_version_id or 0)


class Selection(NamedTuple):
    """Which records are meant; None: any."""

    code: str | None = None
    source: str | None = None
    subject: str | None = None
    partition: int | None = None
    offset: int | None = None
    refused_by_us: int | None = None  # then or before


class Replacement(NamedTuple):
    """What is sent instead of a record."""

    key: bytes
    value: bytes
    headers: Headers


class Decision(NamedTuple):
    """What is to be done with one record."""

    kept: Kept
    detail: dict[str, Any]  # for the audit log, beside code and reason
    target_partition: int | None = None  # None: it is given up
    replacement: Replacement | None = None


class Attempt(NamedTuple):
    """A decision that was made."""

    meter_version_id: int | None
    attempt: int
    action: str
    at_us: int
    who: str
    reason: str
    published_partition: int | None
    published_offset: int | None
    published_us: int | None


async def lock(connection: Connection) -> None:
    """Let nobody else decide until this transaction ends."""
    await connection.execute(STATEMENTS["lock_quarantine"])


async def ground(connection: Connection) -> Ground:
    """What decides where records would land; any role may ask."""
    rules = await load.landing_rules(connection)
    log_times_us: dict[int, int | None] = {}
    for one in await status.partitions(connection):
        # A broker stamps what is appended now; where records have times of their own they follow the log's.
        now_us = one.read_us if rules.clock == "broker" else None
        log_times_us[one.partition] = max(
            (us for us in (one.frontier_us, now_us) if us is not None), default=None
        )
    return Ground(rules, log_times_us, await load.meter_versions(connection))


async def waiting(connection: Connection, selection: Selection, after: Place, limit: int) -> list[Kept]:
    """Records that wait for a decision, in order of place."""
    rows = await connection.fetch(STATEMENTS["waiting_quarantined"], *selection, *after, limit)
    return [kept_of(row) for row in rows]


async def promoted(connection: Connection, records: Sequence[Kept]) -> set[Place]:
    """Those of one meter's errors whose window a promotion has corrected since."""
    asked = [
        (*place_of(one), one.refusal.subject, one.refusal.event_us, one.refusal.record_us)
        for one in records
        if one.refusal.meter_version_id is not None
    ]
    if not asked:
        return set()
    rows = await connection.fetch(STATEMENTS["promoted_windows"], *zip(*asked, strict=True))
    return {Place(*row) for row in rows}


async def decide(
    connection: Connection, action: Action, decisions: Sequence[Decision], who: str, reason: str
) -> None:
    """Write decisions, within a transaction that holds the lock since it read the records."""
    if not decisions:
        return
    rows = [
        (
            *place_of(one.kept),
            one.kept.attempts + 1,
            one.target_partition,
            *(
                (one.replacement.key, one.replacement.value, stored_headers(one.replacement.headers))
                if one.replacement is not None
                else (None, None, None)
            ),
        )
        for one in decisions
    ]
    await connection.execute(
        STATEMENTS["insert_quarantine_actions"], action, who, reason, *zip(*rows, strict=True)
    )
    told = [
        (
            place_of(one.kept).name,
            {"code": one.kept.refusal.code, "reason": reason, **one.detail},
        )
        for one in decisions
    ]
    await audit.record_all(connection, who, f"quarantine.{action}", told)


async def history(connection: Connection, partition: int, offset: int) -> list[Attempt]:
    """What was decided about a record, the first first; any role may read this."""
    rows = await connection.fetch(STATEMENTS["quarantine_history"], partition, offset)
    return [
        Attempt(
            row["meter_version_id"] or None,
            row["attempt"],
            row["action"],
            row["at"],
            row["who"],
            row["reason"],
            row["published_partition"],
            row["published_offset"],
            row["published_at"],
        )
        for row in rows
    ]
