"""`metering doctor`: the configuration, the servers, and the ledger's own proof."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from rich.text import Text

from aggregator.store import doctor as ledger
from aggregator.store import load, migrate
from aggregator.store.errors import StoreError
from metering.cli.exits import Exit
from metering.cli.failures import exit_code, sentence_of
from metering.cli.output import Json, print_json, print_table, say
from metering.database import database
from metering.errors import MeteringError
from metering.settings import Settings, load_settings, unknown_variables
from metering.topics import CONFIG_DIFFERS, REPLICATION_DIFFERS, Difference, compare, counted_contract

STATEMENT_TIMEOUT_S: Final = 900.0  # the checks read whole tables


class _Check(NamedTuple):
    """One thing that was looked at; `result` is OK if it is as it should be."""

    name: str
    result: Exit
    sentence: str
    rows: Sequence[Mapping[str, Any]] = ()
    row_count: int = 0


def doctor(*, as_json: Json = False) -> Exit:
    """Check settings, servers, the topic, and that everything stored adds up.

    Exit code 1: something is wrong; 3: a server does not answer, so not all could be checked.
    """
    checks = asyncio.run(_all(load_settings()))
    if as_json:
        print_json(*(_document(one) for one in checks))
    else:
        print_table("Doctor", ["Check", "Result", "What was found"], (_row(one) for one in checks))
        for one in checks:
            _show_rows(one)
    results = {one.result for one in checks}
    # What is wrong is worse than what could not be looked at.
    return next(
        (code for code in (Exit.STOPPED, Exit.PROBLEMS, Exit.UNREACHABLE) if code in results), Exit.OK
    )


async def _all(settings: Settings) -> list[_Check]:
    return [_check_settings(), *await _check_database(settings), *await _check_topic(settings)]


def _check_settings() -> _Check:
    unknown = unknown_variables()
    if unknown:
        return _Check("settings", Exit.PROBLEMS, f"There are no such settings: {', '.join(unknown)}.")
    return _Check("settings", Exit.OK, "Every variable is a setting, and has a legal value.")


async def _check_database(settings: Settings) -> list[_Check]:
    patient = settings.model_copy(update={"statement_timeout_s": STATEMENT_TIMEOUT_S})
    try:
        async with database(patient) as connection:
            await migrate.require_migrated(connection)
            rules = await load.topic_rules(connection)
            findings = {finding.code: finding for finding in await ledger.checks(connection)}
    except (MeteringError, StoreError) as error:
        return [_failed("database", error)]
    counted = _Check("database", Exit.OK, f"Schema {settings.postgres_schema} counts {rules.name}.")
    return [counted, *(_ledger_check(code, findings.get(code)) for code in ledger.CHECKS)]


def _ledger_check(code: str, finding: ledger.Finding | None) -> _Check:
    if finding is None:
        return _Check(code, Exit.OK, "")
    return _Check(code, Exit.PROBLEMS, finding.sentence, finding.rows, finding.row_count)


async def _check_topic(settings: Settings) -> list[_Check]:
    try:
        state = await compare(settings, await counted_contract(settings))
    except (MeteringError, StoreError) as error:
        return [_failed("topic", error)]
    rows = [one._asdict() for one in state.differences if _matters(settings, one)]
    if not rows:
        return [_Check("topic", Exit.OK, f"{state.contract.name} is as its contract says.")]
    return [_Check("topic", Exit.PROBLEMS, "The topic must be as its contract says.", rows, len(rows))]


def _matters(settings: Settings, difference: Difference) -> bool:
    """Without the topic's own contract, only what the database knows of it can be wrong."""
    return settings.topic_file is not None or difference.code not in {CONFIG_DIFFERS, REPLICATION_DIFFERS}


def _failed(name: str, error: MeteringError | StoreError) -> _Check:
    return _Check(name, exit_code(error), sentence_of(error))


def _row(one: _Check) -> tuple[object, ...]:
    result = Text("ok", "green") if one.result is Exit.OK else Text("wrong", "bold red")
    if one.result is Exit.UNREACHABLE:
        result = Text("not checked", "yellow")
    return one.name, result, one.sentence


def _show_rows(one: _Check) -> None:
    if one.rows:
        columns = list(one.rows[0])
        print_table(one.name, columns, ([row[name] for name in columns] for row in one.rows))
        if one.row_count > len(one.rows):
            say(f"{one.row_count - len(one.rows):,} more.")


def _document(one: _Check) -> dict[str, Any]:
    return {
        "check": one.name,
        "ok": one.result is Exit.OK,
        "sentence": one.sentence,
        "rows": list(one.rows),
        "row_count": one.row_count,
    }
