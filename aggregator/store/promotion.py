"""Makes what a replay has found part of what was counted: rows beside final windows, and other terms."""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from aggregator import promotion
from aggregator.applying.billing_change import TermsChange
from aggregator.comparison import Row, paired
from aggregator.promotion import Difference, Placed, Refused
from aggregator.replacement import Element, Part, content
from aggregator.store import audit, catalog, finality, load, prices, promoted_terms, replay
from aggregator.store.catalog import CatalogState
from aggregator.store.connection import Connection, json_text, stored_us
from aggregator.store.errors import Overtaken
from aggregator.store.finality import Finality
from aggregator.store.load import StoredCatalog
from aggregator.store.promoted_terms import LackingTerms, money_document, terms_document
from aggregator.store.replay import CORRECTIONS, Correction, Promotion, Shadow
from aggregator.store.statements import STATEMENTS
from schemas.partitioner import PARTITIONERS

_ROWS_AT_ONCE: Final = 5_000


@dataclass(slots=True)
class Proposal:
    """What promoting a replay would do; nothing if anything is refused."""

    next_number: int  # of corrections, as long as nobody else promotes
    catalog: StoredCatalog  # of the replay
    placed: list[Placed] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    terms: LackingTerms | None = None  # None: only some meters are promoted

    @property
    def differences(self) -> list[Difference]:
        """What will stand beside windows."""
        return [one.difference for one in self.placed]

    @property
    def changes(self) -> Sequence[TermsChange]:
        """The versions of plans and subscriptions that will be known."""
        return () if self.terms is None else self.terms.changes

    @property
    def documents(self) -> list[dict[str, Any]]:
        """All of it, as it is printed and digested."""
        found = [promotion.as_document(one) for one in self.differences]
        found += [terms_document(one) for one in self.changes]
        return found + [money_document(one) for one in ([] if self.terms is None else self.terms.money)]


async def propose(
    counted: Connection,
    replayed: Connection,
    shadow: Shadow,
    meters: Collection[str] | None,
) -> Proposal:
    """Find what final windows lack, by what a replay says of them; of a range, those from its start on.

    Args:
        counted: to the schema that counts the topic.
        replayed: to the shadow schema.
        shadow: what that says of itself.
        meters: those to promote, alone; None for all, and other terms.
    """
    async with (
        counted.transaction(isolation="repeatable_read", readonly=True),
        replayed.transaction(isolation="repeatable_read", readonly=True),
    ):
        ours, theirs = await load.catalog_within(counted), await load.catalog_within(replayed)
        next_number = await counted.fetchval(STATEMENTS["next_correction"])
        proposal = Proposal(next_number, theirs)
        of_ours = promotion.timelines(ours.versions)
        of_theirs = promotion.timelines(theirs.versions)
        before = await _final_before(counted, replayed, meters)
        limits = {**shadow.ends, CORRECTIONS: next_number}
        arguments = [
            list(limits),
            list(limits.values()),
            list(before),
            list(before.values()),
            stored_us(shadow.begins.since_us),
        ]
        refused: dict[tuple[str, str], Refused] = {}

        def put(difference: Difference) -> None:
            one = promotion.place(difference, of_ours, of_theirs)
            if isinstance(one, Refused):
                refused.setdefault((one.name, one.code), one)
            else:
                proposal.placed.append(one)

        async for pair in paired(_units(counted, arguments), _units(replayed, arguments)):
            difference = promotion.difference(pair)
            if difference is not None:
                put(difference)
        rules = await load.topic_rules(counted)
        partition_of = PARTITIONERS[rules.partitioner]
        async for pair in paired(_contents(counted, arguments), _contents(replayed, arguments)):
            meter, subject, *_ = pair.key
            replaces_before = shadow.ends[partition_of(subject.encode(), rules.partitions)]
            differences = promotion.replacement(pair, replaces_before)
            if differences and promotion.is_known_better(pair, replaces_before):
                refused.setdefault((meter, "older_replay"), promotion.older_replay(meter))
            for one in differences:
                put(one)
        proposal.refused = sorted(refused.values())
        if meters is None:
            proposal.terms = await promoted_terms.lacking(counted, replayed, shadow)
            proposal.refused += proposal.terms.refused
    return proposal


async def promote(
    connection: Connection, proposal: Proposal, schema: str, who: str, reason: str
) -> Promotion:
    """Write what was proposed, at the log time of now: the next cuts of rated periods hold it.

    Nobody counts nor rates meanwhile, so everything that was rated before was rated without it.

    Raises:
        Overtaken: somebody else has promoted, or applied terms, since it was proposed; propose again.
    """
    differences = proposal.differences
    async with connection.transaction(), _locked(connection) as state:
        if await connection.fetchval(STATEMENTS["next_correction"]) != proposal.next_number:
            raise Overtaken
        if proposal.terms is not None and await prices.revision(connection) != proposal.terms.revision:
            raise Overtaken
        log_time_us = max(frontier for frontier in state.frontiers_us.values() if frontier is not None)
        made = Promotion(
            proposal.next_number,
            proposal.next_number + len(differences),
            log_time_us,
            who,
            reason,
            schema,
            promotion.evidence(proposal.documents),
            json_text([one._asdict() for one in proposal.catalog.versions]),
            None,
        )
        rows = [
            Correction(
                number,
                proposal.next_number,
                one.meter_version_id,
                one.difference.subject,
                one.groups,
                one.difference.start_us,
                one.difference.events,
                one.value,
                one.difference.member,
                one.difference.start_us if one.difference.time_us is None else one.difference.time_us,
                one.difference.offset,
                one.difference.replaces_before,
                log_time_us,
            )
            for number, one in enumerate(proposal.placed, start=proposal.next_number)
        ]
        await replay.insert_corrections(connection, [made] if rows else [], rows)
        if proposal.terms is not None and proposal.terms.changes:
            await promoted_terms.write(connection, proposal.terms, made)
        await audit.record(
            connection,
            who,
            "replay.promote",
            schema,
            {
                "reason": reason,
                "rows": len(rows),
                "terms": len(proposal.changes),
                "evidence": made.evidence.hex(),
            },
        )
    return made


@asynccontextmanager
async def _locked(connection: Connection) -> AsyncIterator[CatalogState]:
    """Hold the terms, and then the catalog, as an apply does."""
    await prices.lock(connection)
    async with catalog.exclusive(connection) as state:
        yield state


async def _final_before(
    counted: Connection, replayed: Connection, meters: Collection[str] | None
) -> Mapping[str, int]:
    """By meter, the instant before which its windows are final on both sides."""
    before: dict[str, int] = {}
    sides = [await finality.finality(connection) for connection in (counted, replayed)]
    names = {meter for side in sides for meter in side.meters}
    for meter in names if meters is None else names & set(meters):
        marks = [_least_mark(side, meter) for side in sides if meter in side.meters]
        known = [mark for mark in marks if mark is not None]
        if len(known) == len(marks):
            before[meter] = min(known)
    return before


def _least_mark(side: Finality, meter: str) -> int | None:
    """A version that was not closed yet has no window before the others' watermarks."""
    marks = side.final_before_us
    versions = [rule.meter_version_id for rule in side.meters[meter]]
    return min((marks[version] for version in versions if version in marks), default=None)


async def _units(connection: Connection, arguments: Sequence[object]) -> AsyncIterator[Row]:
    """What each window adds up to."""
    async for row in connection.cursor(STATEMENTS["final_units"], *arguments, prefetch=_ROWS_AT_ONCE):
        meter, subject, groups, start_us, events, value = row
        yield Row((meter, subject, groups, start_us), (events, value))


async def _contents(connection: Connection, arguments: Sequence[object]) -> AsyncIterator[Row]:
    """What each other window comes to, and up to which offset a promotion has said so."""
    of_window: list[Any] = []
    async for row in connection.cursor(STATEMENTS["final_parts"], *arguments, prefetch=_ROWS_AT_ONCE):
        if of_window and of_window[0][:4] != row[:4]:
            yield _content(of_window)
            of_window = []
        of_window.append(tuple(row))
    if of_window:
        yield _content(of_window)


def _content(of_window: Sequence[Any]) -> Row:
    *key, aggregation, replaces_before = of_window[0][:6]
    parts = [
        Part(events, Element(*element), is_void, stands)
        for *_, events, value, member, time_us, offset, is_void, stands in of_window
        for element in [(value, member, time_us, offset)]
    ]
    return Row(tuple(key), (content(aggregation, parts), replaces_before))
