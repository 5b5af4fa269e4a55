"""`metering prove`: recount what was counted, again and again, and compare."""

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any, Final

import uvloop
from cyclopts import Parameter, validators
from rich.text import Text

from aggregator.store import migrate
from aggregator.store import proof as store
from aggregator.store.proof import KeptProof
from metering.auditor import Auditor
from metering.cli.exits import Exit
from metering.cli.output import Json, print_json, print_table, say, time_text
from metering.database import database
from metering.process.exclusive import run_exclusively
from metering.process.tuning import tune
from metering.settings import Settings, load_settings
from metering.telemetry import configure_logging

_MOST_STEPS: Final = 10_000

_NAMES: Final = {
    "windows": "final windows, recounted from the log",
    "ledger": "the ledger: ranges join, and what they say was kept is there, ids too",
    "totals": "windows re-added against the second ledger",
    "log": "the brokers' offsets, against what was accounted for",
}


def prove(
    *,
    once: Annotated[bool, Parameter(negative=(), help="One round through all partitions, and end.")] = False,
    windows: Annotated[
        int | None,
        Parameter(
            validator=validators.Number(gte=1), help="About so many are chosen; else METERING_PROVE_WINDOWS."
        ),
    ] = None,
    seed: Annotated[int | None, Parameter(help="Of all random choices; else another one each time.")] = None,
    as_json: Json = False,
) -> int:
    """Run an auditor until SIGTERM; of several, one is at work and the others wait for their turn.

    It recounts random final windows from the log by a second implementation, goes through the ledger, re-adds
    windows against it, and compares the brokers' offsets with what was accounted for. With `--once` it prints
    what came of one round, or of the next steps of the auditor at work, which chooses by itself. Exit code 1:
    something is wrong; 3: the brokers do not answer, so not all could be checked.
    """
    settings = load_settings()
    if as_json:
        settings = settings.model_copy(update={"log_format": "json"})
    if windows is not None:
        settings = settings.model_copy(update={"prove_windows": windows})
    configure_logging(settings)
    tune()
    if not once:
        return uvloop.run(run_exclusively(settings, Auditor(settings, seed=seed)))
    return asyncio.run(_once(settings, seed, as_json=as_json))


async def _once(settings: Settings, seed: int | None, *, as_json: bool) -> int:
    async with database(settings) as connection:
        await migrate.require_migrated(connection)
        newest = await store.newest(connection)
        before = max((one.proof_id for one in newest.values()), default=0)
        code = await run_exclusively(settings, Auditor(settings, rounds=1, seed=seed), once=True)
        if code:
            return code
        proofs = await store.since(connection, before, _MOST_STEPS)
    if as_json:
        print_json(*(_line(one) for one in proofs))
    else:
        _show(proofs)
    return _exit_of(proofs)


def _exit_of(proofs: Sequence[KeptProof]) -> Exit:
    """By the last of each kind: what is wrong is worse than what could not be looked at."""
    last = {one.proof.what: one.proof for one in proofs}
    if any(proof.wrong for proof in last.values()):
        return Exit.PROBLEMS
    return Exit.UNREACHABLE if "log" in last and last["log"].unreadable else Exit.OK


def _line(one: KeptProof) -> dict[str, Any]:
    proof = one.proof
    return {
        "what": proof.what,
        "at": time_text(one.at_us),
        "checked": proof.checked,
        "wrong": proof.wrong,
        "unreadable": proof.unreadable,
        "findings": [finding.document() for finding in proof.findings],
    }


def _show(proofs: Sequence[KeptProof]) -> None:
    print_table(
        "Proof",
        ["What", "At", "Checked", "Wrong", "Unreadable"],
        (_row(one) for one in proofs),
    )
    last = {one.proof.what: one.proof for one in proofs}
    for proof in last.values():
        for finding in proof.findings:
            place = ", ".join(f"{name} {value}" for name, value in finding.place.items())
            say(
                f"{finding.sentence} {place}: expected {finding.expected}, found {finding.found}.", "bold red"
            )


def _row(one: KeptProof) -> Sequence[object]:
    proof = one.proof
    wrong = Text(f"{proof.wrong:,}", "bold red" if proof.wrong else "green")
    return (_NAMES[proof.what], time_text(one.at_us), proof.checked, wrong, proof.unreadable)
