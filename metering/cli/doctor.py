"""`metering doctor`: the configuration, the servers, who is at work, and the ledger's own proof."""

import asyncio
from collections.abc import Iterable
from typing import Any, Final

from rich.text import Text

from aggregator.health.severity import Severity
from metering.cli.exits import Exit
from metering.cli.failures import exit_code
from metering.cli.output import Json, print_json, print_table, say
from metering.doctor.check import Outcome, Result
from metering.doctor.run import examine
from metering.settings import load_settings

_STYLES: Final = {Severity.INFO: "cyan", Severity.WARNING: "yellow", Severity.CRITICAL: "bold red"}


def doctor(*, as_json: Json = False) -> Exit:
    """Check settings, servers, the topic, who is at work, and that everything stored adds up.

    Exit code 1: something is wrong; 3: a server does not answer, so not all could be checked.
    """
    results = asyncio.run(examine(load_settings()))
    if as_json:
        print_json(*(_document(one) for one in results))
    else:
        print_table("Doctor", ["Check", "Result", "What was found"], (_row(one) for one in results))
        for one in results:
            _advise(one)
    return exit_of(results)


def exit_of(results: Iterable[Result]) -> Exit:
    """The exit code of the worst; what is wrong is worse than what could not be looked at."""
    codes = {_exit_of(one) for one in results}
    return next((code for code in (Exit.STOPPED, Exit.PROBLEMS, Exit.UNREACHABLE) if code in codes), Exit.OK)


def _exit_of(one: Result) -> Exit:
    if one.error is not None:
        return exit_code(one.error)
    if one.outcome is Outcome.FOUND and one.check.severity is not Severity.INFO:
        return Exit.PROBLEMS
    return Exit.UNREACHABLE if one.outcome is Outcome.UNKNOWN else Exit.OK


def _row(one: Result) -> tuple[object, ...]:
    said = {Outcome.OK: Text("ok", "green"), Outcome.UNKNOWN: Text("not checked", "yellow")}
    severity = one.check.severity
    return one.check.code, said.get(one.outcome, Text(severity.value, _STYLES[severity])), one.sentence


def _advise(one: Result) -> None:
    if one.outcome is not Outcome.FOUND:
        return
    if one.rows:
        columns = list(one.rows[0])
        print_table(one.check.code, columns, ([row[name] for name in columns] for row in one.rows))
        if one.row_count > len(one.rows):
            say(f"{one.row_count - len(one.rows):,} more.")
    say(f"{one.check.code}: {one.check.next_step} ({one.check.runbook})", _STYLES[one.check.severity])


def _document(one: Result) -> dict[str, Any]:
    return {
        "code": one.check.code,
        "ok": one.outcome is Outcome.OK,
        "result": one.outcome.value,
        "severity": one.check.severity.value,
        "sentence": one.sentence,
        "next_step": one.check.next_step,
        "runbook": one.check.runbook,
        "rows": list(one.rows),
        "row_count": one.row_count,
    }
