"""`metering explain`: what stands behind a number, and whether the log still says so."""

import asyncio
from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Annotated, Any, Final

from cyclopts import Parameter
from rich.text import Text

from aggregator.rating.amounts import exact_text
from aggregator.store import load, migrate
from metering.broker import broker_errors
from metering.cli.exits import Exit
from metering.cli.instants import instant_us
from metering.cli.output import Json, print_json, print_table, say, time_text
from metering.database import database
from metering.errors import UsageError
from metering.explain.amounts import ExplainedTotal, LineAccount, explain_total
from metering.explain.facts import CORRECTION, Facts
from metering.explain.recount import MeterRule
from metering.explain.windows import Account, Explained, Question
from metering.explain.windows import explain as explain_windows
from metering.settings import Settings, load_settings
from metering.topics import load_contract

STATEMENT_TIMEOUT_S: Final = 300.0
_SHOWN: Final = 50


def explain(
    rated_total: Annotated[
        str | None,
        Parameter(help="A version, as `metering rated` names it: SUBSCRIPTION/PERIOD_START/VERSION."),
    ] = None,
    *,
    window: Annotated[
        tuple[str, str, str] | None,
        Parameter(help="A window: the meter, the subject, and when it starts (RFC 3339)."),
    ] = None,
    as_json: Json = False,
) -> Exit:
    """Show what a number was made of, read those records again, and count them by other means.

    Exit code 1: the log says otherwise, and where is shown; 5: the log no longer reaches back that far.
    """
    settings = load_settings().model_copy(update={"statement_timeout_s": STATEMENT_TIMEOUT_S})
    settings = settings.model_copy(update={"topic": load_contract(settings).name})
    if rated_total is not None and window is None:
        return _explain_total(settings, rated_total, as_json=as_json)
    if window is None or rated_total is not None:
        raise UsageError("usage", "Name one thing to explain: RATED_TOTAL, or --window METER SUBJECT START.")
    meter, subject, start = window
    found = asyncio.run(_window(settings, meter, subject, instant_us(start, "--window") or 0))
    if as_json:
        print_json(*_rows(found), summary(found))
    else:
        show_windows(found)
        if not found.accounts:
            say("Nothing was counted there, and the log has nothing either: does a window start then?")
        else:
            say("Equal: the log says the same." if found.is_equal else "Not equal: see above.")
    return Exit.OK if found.is_equal else Exit.PROBLEMS


async def _window(settings: Settings, meter: str, subject: str, start_us: int) -> Explained:
    async with broker_errors(settings), database(settings) as connection:
        await migrate.require_migrated(connection)
        meters = sorted({version.meter for version in (await load.catalog(connection)).versions})
        if meter not in meters:
            raise UsageError(
                "unknown_meter", f"There is no meter {meter!r}; there are: {', '.join(meters) or 'none'}."
            )
        return await explain_windows(
            connection, settings, [Question([meter], [subject], start_us, start_us + 1)]
        )


def _explain_total(settings: Settings, name: str, *, as_json: bool) -> Exit:
    subscription, _, rest = name.partition("/")
    period, _, version = rest.rpartition("/")
    start_us = instant_us(period, "RATED_TOTAL") if period and version.isdecimal() else None
    if start_us is None:
        raise UsageError("usage", f"{name!r} names no version: write SUBSCRIPTION/PERIOD_START/VERSION.")
    found = asyncio.run(_total(settings, subscription, start_us, int(version)))
    if as_json:
        print_json(*(_line_document(line, found) for line in found.lines), *_rows(found.windows))
        read = summary(found.windows)
        print_json({**read, "rated_total": name, "digest": found.digest, "equal": found.is_equal})
    else:
        _show_total(name, found)
    return Exit.OK if found.is_equal else Exit.PROBLEMS


async def _total(settings: Settings, subscription: str, start_us: int, version: int) -> ExplainedTotal:
    async with broker_errors(settings), database(settings) as connection:
        await migrate.require_migrated(connection)
        return await explain_total(connection, settings, subscription, start_us, version)


def _show_total(name: str, found: ExplainedTotal) -> None:
    show_windows(found.windows)
    print_table(
        f"{name} ({found.document.currency}, digest {found.digest[:16]}…)",
        ["Segment", "Charge", "Group", "Quantity", "Events", "Amount", "Windows", "Offsets", "Batches", ""],
        (_line_row(line) for line in found.lines),
    )
    for line in found.lines:
        if not line.is_equal:
            say(
                f"{line.what} {line.charge or ''} {_line_group(line)}: stored {_facts(line.stored)}, "
                f"from the log {_facts(line.recounted)}.",
                "bold red",
            )
    say("Equal: the log comes to the same, to the last digit." if found.is_equal else "Not equal: see above.")


def _line_row(line: LineAccount) -> tuple[object, ...]:
    facts = line.stored or line.recounted or {}
    by_partition: dict[int, list[int]] = {}
    for account in filter(_is_logged, line.accounts):
        by_partition.setdefault(account.partition, []).extend(account.offsets)
    offsets = "; ".join(f"{p}: {min(o)}..{max(o)}" for p, o in sorted(by_partition.items()))
    batches = {(a.partition, b.first_offset) for a in line.accounts for b in a.batches}
    return (
        line.segment,
        line.charge or f"({line.what})",
        _line_group(line),
        _plain(facts.get("quantity")),
        facts.get("events"),
        _plain(facts["amount"]),
        len(line.accounts) if line.what == "line" else None,
        offsets or None,
        len(batches) if line.what == "line" else None,
        Text("equal", "green") if line.is_equal else Text("differs", "bold red"),
    )


def _line_group(line: LineAccount) -> str:
    if line.what != "line":
        return ""
    if line.group is None:
        return "(other)"
    return ", ".join(f"{name}={value}" for name, value in line.group.items())


def _line_document(line: LineAccount, found: ExplainedTotal) -> dict[str, Any]:
    return {
        "what": line.what,
        "segment": line.segment,
        "charge": line.charge,
        "group": line.group,
        "stored": _facts(line.stored),
        "recounted": _facts(line.recounted),
        "equal": line.is_equal,
        "windows": [
            {
                "meter": found.windows.rules[account.key.meter_version_id].meter,
                "subject": account.key.subject,
                "start": time_text(account.key.start_us),
                "what": account.kind,
                "partition": account.partition,
                "first_offset": account.offsets[0],
                "last_offset": account.offsets[1],
            }
            for account in line.accounts
        ],
    }


def show_windows(found: Explained) -> None:
    """Show windows and what stands beside them, what was read, and every difference."""
    shown = [account for account in found.accounts if account.is_equal][:_SHOWN]
    shown += [account for account in found.accounts if not account.is_equal]
    if shown:
        print_table(
            "Windows, and what stands beside them",
            [
                "Meter",
                "Subject",
                "Group",
                "Start",
                "What",
                "Partition",
                "Offsets",
                "Batches",
                "Events",
                "Value",
                "",
            ],
            (_row(account, found.rules[account.key.meter_version_id]) for account in shown),
        )
    if len(found.accounts) > len(shown):
        say(f"{len(found.accounts) - len(shown):,} more, all equal.")
    for stretch in found.stretches:
        say(
            f"Read again: partition {stretch.partition}, "
            f"offsets {stretch.first_offset} to {stretch.next_offset - 1}."
        )
    say(f"{found.records:,} records.")
    for account in found.accounts:
        for sentence in differences(account, found.rules[account.key.meter_version_id]):
            say(sentence, "bold red")


def differences(account: Account, rule: MeterRule) -> Iterator[str]:
    """What is stored otherwise than the log says, in sentences."""
    if account.is_equal:
        return
    first, last = account.offsets
    where = (
        f"{rule.meter} of {account.key.subject} {_group_text(account, rule)} at "
        f"{time_text(account.key.start_us)}, partition {account.partition}, "
        f"offsets {first} to {last} ({account.kind})"
    )
    if account.stored is None:
        yield f"{where}: the log has it, the database does not."
    elif account.recounted is None:
        yield f"{where}: the database has it, the log does not."
    else:
        for name, value in account.stored.items():
            again = account.recounted[name]
            if value != again:
                yield f"{where}: {name} is stored as {_plain(value)}, the log says {_plain(again)}."


def _is_logged(account: Account) -> bool:
    """A correction stands in no partition."""
    return account.kind != CORRECTION


def _row(account: Account, rule: MeterRule) -> tuple[object, ...]:
    facts = account.stored or account.recounted or {}
    first, last = account.offsets
    offsets = f"{first}" if first == last else f"{first}..{last}"
    result = Text("equal", "green") if account.is_equal else Text("differs", "bold red")
    if not _is_logged(account):
        before = facts["replaces_before"]
        instead = "" if before is None else f"; instead of all before offset {before}"
        result = Text(f"not in the log{instead}", "yellow")
    return (
        f"{rule.meter}",
        account.key.subject,
        _group_text(account, rule),
        time_text(account.key.start_us),
        account.kind,
        str(account.partition) if _is_logged(account) else None,
        offsets if _is_logged(account) else None,
        len(account.batches),
        facts["events"],
        _plain(facts["value"]) if facts["value"] is not None else len(facts.get("members") or ()) or "-",
        result,
    )


def _group_text(account: Account, rule: MeterRule) -> str:
    if account.key.groups is None:
        return "(other)"
    return ", ".join(
        f"{name}={value}" for (name, _), value in zip(rule.groups, account.key.groups, strict=True)
    )


def _rows(found: Explained) -> Iterator[Mapping[str, Any]]:
    for account in found.accounts:
        yield window_document(account, found.rules[account.key.meter_version_id])


def summary(found: Explained) -> dict[str, Any]:
    """What was read, and whether all is equal."""
    return {
        "what": "summary",
        "equal": found.is_equal,
        "records": found.records,
        "read": [stretch._asdict() for stretch in found.stretches],
        "windows": sum(account.kind == "window" for account in found.accounts),
        "different": sum(not account.is_equal for account in found.accounts),
    }


def window_document(account: Account, rule: MeterRule) -> dict[str, Any]:
    """One window, or one row beside a window, with where it comes from."""
    groups = account.key.groups
    return {
        "what": account.kind,
        "meter": rule.meter,
        "subject": account.key.subject,
        "group": None
        if groups is None
        else {name: value for (name, _), value in zip(rule.groups, groups, strict=True)},
        "start": time_text(account.key.start_us),
        "partition": account.partition,
        "first_offset": account.offsets[0],
        "last_offset": account.offsets[1],
        "stored": _facts(account.stored),
        "recounted": _facts(account.recounted),
        "equal": account.is_equal,
        "batches": [
            {
                "first_offset": batch.first_offset,
                "next_offset": batch.next_offset,
                "log_time": time_text(batch.log_time_us),
                "worker": batch.worker,
                "trace_id": batch.trace_id,
                "committed_at": time_text(batch.committed_us),
            }
            for batch in account.batches
        ],
    }


def _facts(facts: Facts | None) -> dict[str, Any] | None:
    return None if facts is None else {name: _plain(value) for name, value in facts.items()}


def _plain(value: object) -> Any:  # noqa: ANN401 - JSON
    if isinstance(value, Fraction):
        return exact_text(value)
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
