"""`metering quarantine redrive`, `fix` and `discard`: what a person decides about refused records."""

import asyncio
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

from cyclopts import Parameter

from aggregator.store import migrate
from aggregator.store.redrive import Selection
from metering.cli.exits import Exit
from metering.cli.failures import report
from metering.cli.operator import decided_by
from metering.cli.output import Json, print_json, say
from metering.database import database
from metering.errors import UsageError, unreadable
from metering.quarantine.fix import fix as fix_record
from metering.quarantine.redrive import Action, Outcome, decided
from metering.settings import Settings, load_settings
from schemas.codes import Code

OnlyCode = Annotated[str | None, Parameter(name="--code", help="Only what was refused with this code.")]
OnlySource = Annotated[str | None, Parameter(name="--source", help="Only what this source sent.")]
OnlySubject = Annotated[str | None, Parameter(name="--subject", help="Only this subject's.")]
Reason = Annotated[str, Parameter(help="Why; it is kept for good.")]
By = Annotated[
    str | None, Parameter(name=["--by", "--who"], help="Who decides; by default the login and the machine.")
]
DryRun = Annotated[bool, Parameter(negative=(), help="Only show what would be done.")]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Which:
    """The records that are meant."""

    code: OnlyCode = None
    source: OnlySource = None
    subject: OnlySubject = None
    partition: Annotated[int | None, Parameter(help="Only what lies in this partition.")] = None
    offset: Annotated[int | None, Parameter(help="Only this record of --partition.")] = None
    every: Annotated[bool, Parameter(name="--all", negative=(), help="All that waits.")] = False


_STDIN: Final = Path("-")
_REFUSALS_TOLD: Final = 20
_DONE: Final[Mapping[Action, str]] = {"redrive": "redriven", "discard": "discarded"}


def redrive(
    which: Which | None = None,
    *,
    reason: Reason,
    by: By = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> Exit:
    """Bring back what waits and can be counted now, each record once, however often this is run.

    The workers publish it to its subject's partition and count it; in a closed period it becomes an
    adjustment. What a newer version of its meter can read is brought back with what that version reads. Exit
    code 4: some records cannot be brought back as they are, and why.
    """
    selection = _selection(which or Which())
    deciding = _decide("redrive", selection, decided_by(by), reason, dry_run=dry_run, as_json=as_json)
    return asyncio.run(deciding)


def discard(
    which: Which | None = None,
    *,
    reason: Reason,
    by: By = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> Exit:
    """Give up what waits, for good: it stays in quarantine, marked, and is not counted as open any more."""
    selection = _selection(which or Which())
    deciding = _decide("discard", selection, decided_by(by), reason, dry_run=dry_run, as_json=as_json)
    return asyncio.run(deciding)


def fix(
    partition: int,
    offset: int,
    *,
    value: Annotated[
        Path, Parameter(allow_leading_hyphen=True, help="The corrected CloudEvent (JSON); `-` reads stdin.")
    ],
    meter: Annotated[
        str | None, Parameter(help="The meter it is corrected for, if several could not read it.")
    ] = None,
    reason: Reason,
    by: By = None,
    as_json: Json = False,
) -> None:
    """Bring a refused record back with a corrected value, as the one repair of that record.

    The event is validated before anything is written, and keyed by its subject. What was refused is kept as
    it came.
    """
    content = _content(value)
    where = partition, offset, meter
    target = asyncio.run(_fix(load_settings(), where, content, decided_by(by), reason))
    if as_json:
        print_json(
            {"partition": partition, "offset": offset, "result": "redriven", "target_partition": target}
        )
    else:
        say(f"Corrected; the workers publish it to partition {target}.")


def require_code(code: str | None) -> None:
    """Let a code pass that exists.

    Raises:
        UsageError: it does not.
    """
    if code is not None and code not in set(Code):
        raise UsageError("unknown_code", f"There is no code {code}: `docs/runbook.md` lists them.")


def _selection(which: Which) -> Selection:
    require_code(which.code)
    if which.offset is not None and which.partition is None:
        raise UsageError("usage", "An offset is one of a partition: add --partition.")
    selection = Selection(which.code, which.source, which.subject, which.partition, which.offset)
    if not which.every and selection == Selection():
        raise UsageError(
            "usage", "Say which records: --code, --source, --subject, --partition and --offset, or --all."
        )
    return selection


async def _decide(
    action: Action, selection: Selection, who: str, reason: str, *, dry_run: bool, as_json: bool
) -> Exit:
    if not reason:
        raise UsageError("usage", "A decision needs a reason: --reason must not be empty.")
    refused: Counter[str] = Counter()
    done = 0
    verb = f"would be {_DONE[action]}" if dry_run else _DONE[action]
    async with database(load_settings()) as connection:
        await migrate.require_migrated(connection)
        async for outcome in decided(connection, action, selection, who, reason, dry_run=dry_run):
            if outcome.in_the_way is None:
                done += 1
            else:
                refused[outcome.in_the_way.obstacle] += 1
            if as_json:
                print_json(_document(outcome, verb))
            elif outcome.in_the_way is not None and refused.total() <= _REFUSALS_TOLD:
                refusal = outcome.kept.refusal
                report(
                    outcome.in_the_way.obstacle,
                    outcome.in_the_way.sentence,
                    as_json=False,
                    partition=refusal.partition,
                    offset=refusal.offset,
                )
    if not as_json:
        told = "".join(f", {count:,} {obstacle}" for obstacle, count in sorted(refused.items()))
        say(f"{done:,} {verb}{told}.")
    return Exit.REFUSED if refused else Exit.OK


async def _fix(
    settings: Settings, where: tuple[int, int, str | None], value: bytes, who: str, reason: str
) -> int | None:
    async with database(settings) as connection:
        await migrate.require_migrated(connection)
        return (await fix_record(connection, where, value, who, reason)).target_partition


def _document(outcome: Outcome, verb: str) -> dict[str, Any]:
    refusal, way = outcome.kept.refusal, outcome.in_the_way
    return {
        "partition": refusal.partition,
        "offset": refusal.offset,
        "meter_version": refusal.meter_version_id,
        "code": refusal.code,
        "result": verb.replace(" ", "_") if way is None else "refused",
        "target_partition": outcome.target_partition,
        "refused_code": None if way is None else way.obstacle.value,
        "sentence": None if way is None else way.sentence,
    }


def _content(path: Path) -> bytes:
    try:
        content = sys.stdin.buffer.read() if path == _STDIN else path.read_bytes()
    except OSError as error:
        raise unreadable("file", path, error) from error
    return content.strip()
