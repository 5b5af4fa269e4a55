"""A look at everything, on one screen."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from rich.console import Group, RenderableType
from rich.text import Text

from aggregator.finality import MeterFinality, Waiting
from aggregator.health.partition import State
from metering.cli.output import duration_text, table, time_text
from metering.observer.counted import DUTIES, Accounts
from metering.observer.look import Look, Standing
from metering.observer.sources import SilentSource

_SILENT_SHOWN: Final = 5
_STYLES = {
    State.OK: "green",
    State.WARNING: "yellow",
    State.NO_OWNER: "bold red",
    State.STALLED: "bold red",
    State.REWOUND: "bold red",
    State.STOPPED: "bold white on red",
}


def screen(seen: Look) -> RenderableType:
    """Everything that was seen, the most urgent first."""
    return Group(*_parts(seen))


def _parts(seen: Look) -> Iterator[RenderableType]:
    for server, error in seen.problems.items():
        yield Text.assemble((f"{server} is away", "bold red"), f": {error.sentence}")
    accounts = seen.accounts
    if accounts is None:
        return
    if accounts.topic is None:
        yield Text("The schema counts no topic yet: run `metering topics apply`.", "yellow")
        return
    if seen.group is not None:
        yield Text(seen.group.sentence, _STYLES[seen.group.state])
    if gone := [str(one.partition) for one in accounts.partitions if not one.is_connected]:
        yield Text(f"No worker is connected for: {', '.join(gone)}. Start `metering worker`.", "yellow")
    for stop in accounts.stops:
        yield Text.assemble(
            (f"{stop.code}", "bold red"), f": partition {stop.partition}, offset {stop.offset}: {stop.seen}"
        )
    yield table(
        f"Topic {accounts.topic.name}",
        [
            "Partition",
            "State",
            "Owner",
            "Next offset",
            "Lag",
            "Lag time",
            "Frontier",
            "Behind",
            "Accepted",
            "Refused",
            "Flushed",
        ],
        (_partition(accounts, one) for one in seen.standings),
    )
    if accounts.meters:
        yield table(
            "Meters",
            ["Meter", "Final before", "Waits for", "Partition", "Missing", "Overdue"],
            (_meter(one) for one in accounts.meters),
        )
    yield Text(_finality(accounts))
    yield from _remarks(accounts, seen.quarantine)
    yield from _silent(accounts, seen.silent)


def _partition(accounts: Accounts, one: Standing) -> tuple[object, ...]:
    row = one.status
    behind_us = accounts.behind_us(row)
    return (
        row.partition,
        Text("not known", "yellow") if one.state is None else Text(one.state.value, _STYLES[one.state]),
        _owner(one),
        row.next_offset,
        one.lag_records,
        None if one.lag_us is None else duration_text(one.lag_us),
        time_text(row.frontier_us) or "no record yet",
        None if behind_us is None else duration_text(behind_us),
        row.outcomes.accepted,
        row.outcomes.quarantined + row.outcomes.conflict,
        time_text(row.flushed_us),
    )


def _owner(one: Standing) -> Text:
    if one.status.owner is None:
        return Text("nobody", "yellow")
    if one.status.is_connected:
        return Text(one.status.owner)
    return Text(f"{one.status.owner} (gone)", "yellow")


def _meter(one: MeterFinality) -> tuple[object, ...]:
    blocks = one.waiting_for in (Waiting.PARTITION, Waiting.CLOSER)
    return (
        one.meter,
        time_text(one.final_before_us),
        Text(one.waiting_for.value, "yellow" if blocks else ""),
        one.partition,
        None if one.missing_us is None else duration_text(one.missing_us),
        duration_text(one.overdue_us),
    )


def _finality(accounts: Accounts) -> str:
    waiting = [one.partition for one in accounts.partitions if one.frontier_us is None]
    if waiting:
        return f"Nothing more can become final: no record yet in partitions {', '.join(map(str, waiting))}."
    if accounts.closing_us is None:
        return "Nothing is final yet: run `metering close`."
    last = min(accounts.partitions, key=lambda one: one.frontier_us or 0)
    until = time_text(accounts.closing_us)
    return f"Final up to {until} less each meter's grace: partition {last.partition} is last."


def _proof(accounts: Accounts) -> Text:
    if not accounts.proofs:
        return Text("Nothing was proved yet: run `metering prove`.")
    wrong = sum(one.proof.wrong for one in accounts.proofs.values())
    share = "Nothing final was compared" if accounts.accuracy is None else f"Accuracy {accounts.accuracy:.4%}"
    at = time_text(max(one.at_us for one in accounts.proofs.values()))
    if wrong:
        return Text(f"{share} at {at}; {wrong:,} things are wrong: `metering doctor`.", "bold red")
    return Text(f"{share} at {at}; nothing is wrong.")


def _remarks(accounts: Accounts, quarantine: Mapping[str, int]) -> Iterator[Text]:
    if accounts.newest_event_us is not None:
        age = "" if accounts.freshness_us is None else f", {duration_text(accounts.freshness_us)} ago"
        yield Text(f"The newest event that is counted is of {time_text(accounts.newest_event_us)}{age}.")
    at_work = ", ".join(f"{duty}: {accounts.at_work[duty] or 'nobody'}" for duty in DUTIES)
    yield Text(f"At work: {at_work}. Catalog head {accounts.catalog_head}.")
    yield _proof(accounts)
    refused = ", ".join(f"{count:,} {code}" for code, count in quarantine.items())
    yield Text(f"In quarantine waits: {refused or 'nothing'}.")
    if accounts.outbox_pending:
        yield Text(f"{accounts.outbox_pending:,} repair records wait to be published.", "yellow")


def _silent(accounts: Accounts, silent: Sequence[SilentSource]) -> Iterator[Text]:
    for one in silent[:_SILENT_SHOWN]:
        quiet = duration_text((accounts.reached_us or one.since_us) - one.since_us)
        yield Text(f"{one.source} has sent nothing for {quiet}, longer than ever before.", "yellow")
    if len(silent) > _SILENT_SHOWN:
        yield Text(f"So have {len(silent) - _SILENT_SHOWN:,} other sources.", "yellow")
