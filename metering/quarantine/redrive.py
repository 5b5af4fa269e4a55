"""Brings refused records back, or gives them up; a page in a transaction, so it can be ended at any time."""

from collections.abc import AsyncGenerator, Sequence
from typing import Final, Literal, NamedTuple

from aggregator.remedy import Ground, InTheWay, Obstacle, decoded, reads_alike, way_back
from aggregator.store import redrive as store
from aggregator.store.connection import Connection
from aggregator.store.quarantine import Kept
from aggregator.store.redrive import BEGINNING, Decision, Place, Selection, place_of
from metering.quarantine.replacement import digest, rewritten
from schemas.codes import Code

PAGE: Final = 500
"""Records decided in one transaction."""

Action = Literal["redrive", "discard"]

_PROMOTED: Final = InTheWay(
    Obstacle.PROMOTED,
    "a promotion has corrected its window since, so it may be counted there already: compare with a replay, "
    "and discard it if it is",
)


class Outcome(NamedTuple):
    """What was decided about one record, or why nothing was."""

    kept: Kept
    target_partition: int | None
    in_the_way: InTheWay | None


async def decided(
    connection: Connection,
    action: Action,
    selection: Selection,
    who: str,
    reason: str,
    *,
    dry_run: bool,
    after: Place = BEGINNING,
) -> AsyncGenerator[Outcome, None]:
    """Decide about what waits, each record once, however often this is called.

    `redrive` brings back what can be counted as it is; `discard` gives up: the records stay, marked. Who
    stops asking at the end of a page leaves what lies behind it (`after` goes on there) undecided.
    """
    judge = _JUDGES[action]
    while True:
        async with connection.transaction():
            await store.lock(connection)
            page = await store.waiting(connection, selection, after, PAGE)
            judged = await judge(connection, page)
            if not dry_run:
                decisions = [one for one in judged if isinstance(one, Decision)]
                await store.decide(connection, action, decisions, who, reason)
        for kept, one in zip(page, judged, strict=True):
            if isinstance(one, Decision):
                yield Outcome(kept, one.target_partition, None)
            else:
                yield Outcome(kept, None, one)
        if len(page) < PAGE:
            return
        after = place_of(page[-1])


async def _ways_back(connection: Connection, page: Sequence[Kept]) -> list[Decision | InTheWay]:
    ground = await store.ground(connection)
    promoted = await store.promoted(connection, page)
    return [_judge(one, ground, promoted) for one in page]


async def _given_up(_connection: Connection, page: Sequence[Kept]) -> list[Decision | InTheWay]:
    return [Decision(one, {"value_sha256": digest(one.value)}) for one in page]


_JUDGES: Final = {"redrive": _ways_back, "discard": _given_up}


def _judge(kept: Kept, ground: Ground, promoted: set[Place]) -> Decision | InTheWay:
    refusal = kept.refusal
    if place_of(kept) in promoted:
        return _PROMOTED
    event = decoded(kept.key, kept.value, kept.headers)
    way = way_back(Code(refusal.code), event, refusal.meter_version_id, ground)
    if isinstance(way, InTheWay):
        return way
    detail = {"target_partition": way.target_partition, "value_sha256": digest(kept.value)}
    if way.reading is None:
        return Decision(kept, detail, way.target_partition)
    reading = way.reading
    replacement = rewritten(way.event, reading.data)
    sent = decoded(replacement.key, replacement.value, replacement.headers)
    if not reads_alike(reading.meter, sent, reading.read):
        return InTheWay(
            Obstacle.METER_CANNOT_READ, "what was read of it has no place in its data: correct it"
        )
    detail |= {"sent_sha256": digest(replacement.value), "read_by_version": reading.version}
    return Decision(kept, detail, way.target_partition, replacement)
