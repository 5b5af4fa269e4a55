"""`metering promote`: what a replay has found, made part of what was counted."""

import asyncio
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Final, NamedTuple

from cyclopts import Parameter

from aggregator.promotion import Difference, Refused
from aggregator.store import promotion
from aggregator.store.errors import Overtaken
from aggregator.store.promotion import Proposal
from aggregator.store.replay import Promotion
from metering.cli.exits import Exit
from metering.cli.failures import report
from metering.cli.operator import Who, decided_by
from metering.cli.output import Json, print_json, print_table, say, time_text
from metering.errors import StoppedError
from metering.replay.sides import both_sides
from metering.settings import Settings, load_settings

_SHOWN: Final = 50


class _Done(NamedTuple):
    proposal: Proposal
    made: Promotion | None  # None: refused, only shown, or nothing to do


def promote(
    schema: Annotated[str, Parameter(help="The shadow schema that `metering replay` has made.")],
    *,
    reason: Annotated[str, Parameter(help="Why; it is kept for good.")],
    meter: Annotated[
        list[str] | None, Parameter(help="Only this meter, and no terms; may be repeated.", negative=())
    ] = None,
    dry_run: Annotated[bool, Parameter(negative=(), help="Only show what would be written.")] = False,
    who: Who = None,
    as_json: Json = False,
) -> Exit:
    """Write what a replay has found otherwise than was counted and rated, beside what there is: for ever.

    Windows and versions stay as they are. Rated periods get a new version at their next cut. All or nothing
    is written; exit code 4 if something cannot be.
    """
    done = asyncio.run(_promote(load_settings(), schema, meter, decided_by(who), None if dry_run else reason))
    _show(done, as_json=as_json)
    for refused in done.proposal.refused:
        report(refused.code, _sentence(refused), as_json=as_json)
    return Exit.REFUSED if done.proposal.refused else Exit.OK


async def _promote(
    settings: Settings, schema: str, meters: Sequence[str] | None, who: str, reason: str | None
) -> _Done:
    async with both_sides(settings, schema) as (counted, replayed, shadow):
        if shadow.counted_schema != settings.postgres_schema:
            raise StoppedError(
                "not_a_replay",
                f"Schema {schema} is a replay of {shadow.counted_schema}, not of {settings.postgres_schema}.",
            )
        while True:
            proposal = await promotion.propose(counted, replayed, shadow, meters)
            if proposal.refused or not (proposal.placed or proposal.changes) or reason is None:
                return _Done(proposal, None)
            try:
                return _Done(proposal, await promotion.promote(counted, proposal, schema, who, reason))
            except Overtaken:
                continue


def _show(done: _Done, *, as_json: bool) -> None:
    if as_json:
        print_json(*_documents(done))
        return
    differences = done.proposal.differences
    if differences:
        print_table(
            "Beside windows",
            ["Meter", "Subject", "Group", "Start", "Events", "Value"],
            (
                (
                    one.meter,
                    one.subject,
                    one.groups or "(other)",
                    time_text(one.start_us),
                    one.events,
                    _value(one),
                )
                for one in differences[:_SHOWN]
            ),
        )
    if len(differences) > _SHOWN:
        say(f"{len(differences) - _SHOWN:,} more.")
    _show_terms(done.proposal)
    changes = done.proposal.changes
    if done.made is not None:
        say(
            f"Promoted: {len(differences):,} corrections and {len(changes):,} versions of terms at log time "
            f"{time_text(done.made.log_time_us)}; evidence {done.made.evidence.hex()}."
        )
    elif not differences and not changes and not done.proposal.refused:
        say("Nothing to promote: final windows and terms are what the replay has found.")


def _show_terms(proposal: Proposal) -> None:
    if proposal.changes:
        print_table(
            "Terms, known to cuts from now on",
            ["What", "Name", "Version", "Holds from"],
            (
                (
                    one.section.removesuffix("s"),
                    one.name,
                    one.version,
                    "the beginning" if one.effective_from_us is None else time_text(one.effective_from_us),
                )
                for one in proposal.changes
            ),
        )
    money = [] if proposal.terms is None else proposal.terms.money
    if money:
        print_table(
            "Money, by rated period",
            ["Subscription", "Period", "Rated", "Replayed", "Difference", "Currency"],
            (
                (
                    one.subscription,
                    time_text(one.period_start_us),
                    one.counted,
                    one.replayed,
                    one.difference,
                    one.currency,
                )
                for one in money[:_SHOWN]
            ),
        )
    if len(money) > _SHOWN:
        say(f"{len(money) - _SHOWN:,} more.")


def _value(one: Difference) -> str:
    """What a row adds, or what it says that a window is, or holds."""
    if one.replaces_before is None:
        return str(one.value)
    if one.member is not None:
        return f"holds {one.member}"
    at = "" if one.time_us is None else f" at {time_text(one.time_us)}"
    return "is nothing" if one.value is None else f"is {one.value}{at}"


def _documents(done: _Done) -> Iterator[dict[str, Any]]:
    yield from done.proposal.documents
    made = done.made
    yield {
        "promoted": made is not None,
        "corrections": len(done.proposal.placed),
        "terms": len(done.proposal.changes),
        "log_time": None if made is None else time_text(made.log_time_us),
        "evidence": None if made is None else made.evidence.hex(),
    }


def _sentence(refused: Refused) -> str:
    return f"{refused.name}: {refused.sentence}."
