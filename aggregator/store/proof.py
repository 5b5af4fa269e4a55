"""What the auditor has proved, and the bounded parts of tables that it proves more from."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final, NamedTuple

import asyncpg

from aggregator.batch import Outcomes
from aggregator.health.finding import Finding, Kind
from aggregator.health.ledger import Batch, Kept
from aggregator.store.connection import Connection, instant_us
from aggregator.store.statements import STATEMENTS
from schemas.number import plain_text

FINDINGS_KEPT: Final = 100
"""In full, of each kind of check; the others are found again when these are put right."""

PROOFS_LOOKED_AT: Final = 100
"""The accuracy is that of so many of the newest proofs of windows."""

_FORGOTTEN_AT_ONCE: Final = 100


class Proof(NamedTuple):
    """What came of one kind of check in one step."""

    what: str  # windows, ledger, totals, log
    checked: int
    wrong: int
    unreadable: int  # could not be checked
    findings: Sequence[Finding]  # all that are open


class KeptProof(NamedTuple):
    """One that was kept."""

    proof_id: int
    at_us: int
    read_us: int  # when this was read, by the same clock
    proof: Proof


class Accuracy(NamedTuple):
    """How much of what was compared lately was equal."""

    checked: int
    wrong: int

    @property
    def share(self) -> float | None:
        """From 0 to 1; None: nothing was compared."""
        return (self.checked - self.wrong) / self.checked if self.checked else None


class BatchEnd(NamedTuple):
    """A batch's range, and the partition's frontier after it."""

    first_offset: int
    next_offset: int
    frontier_us: int | None  # None: no record yet


async def keep(connection: Connection, proofs: Sequence[Proof]) -> None:
    """Keep what a step has proved, and let go of what has had its time."""
    async with connection.transaction():
        for one in proofs:
            findings = [finding.document() for finding in one.findings[:FINDINGS_KEPT]]
            await connection.execute(
                STATEMENTS["keep_proof"],
                one.what,
                one.checked,
                one.wrong,
                one.unreadable,
                findings,
            )
            await connection.execute(STATEMENTS["forget_proofs"], one.what, _FORGOTTEN_AT_ONCE)


async def newest(connection: Connection) -> dict[str, KeptProof]:
    """The newest proof of each kind of check that was ever done; any role may ask."""
    rows = await connection.fetch(STATEMENTS["newest_proofs"])
    return {row["what"]: _kept(row) for row in rows}


async def since(connection: Connection, proof_id: int, most: int) -> list[KeptProof]:
    """Those kept after this one, in order: of each kind of check the first `most`."""
    return [_kept(row) for row in await connection.fetch(STATEMENTS["proofs_since"], proof_id, most)]


async def accuracy(connection: Connection) -> Accuracy:
    """How much of what was compared lately was equal; any role may ask."""
    row = await connection.fetchrow(STATEMENTS["proved_accuracy"], PROOFS_LOOKED_AT)
    assert row is not None  # noqa: S101 - sums always have a row
    return Accuracy(row["checked"], row["wrong"])


async def batches(connection: Connection, partition: int, offset: int, most: int) -> list[Batch]:
    """The ledger's rows that begin at this offset or later, in order."""
    return [
        Batch(row["first_offset"], row["next_offset"], {name: row[name] for name in Outcomes._fields})
        for row in await connection.fetch(STATEMENTS["ledger_from"], partition, offset, most)
    ]


async def batch_before(connection: Connection, partition: int, offset: int) -> BatchEnd | None:
    """The last batch that begins at this offset or before it."""
    row = await connection.fetchrow(STATEMENTS["batch_before"], partition, offset)
    return (
        None
        if row is None
        else BatchEnd(row["first_offset"], row["next_offset"], instant_us(row["log_time"]))
    )


async def said_and_kept(connection: Connection, partition: int, ledger: Sequence[Batch]) -> tuple[Kept, Kept]:
    """What these batches say was put beside windows and into quarantine, and what is there of it."""
    if not ledger:
        return {}, {}
    firsts = [batch.first_offset for batch in ledger]
    nexts = [batch.next_offset for batch in ledger]
    said: dict[tuple[int, int, str], tuple[int, Decimal]] = {}
    for batch in ledger:
        refused = batch.outcomes["quarantined"] + batch.outcomes["conflict"]
        if refused:
            said[batch.first_offset, 0, "refused"] = refused, Decimal(0)
    for row in await connection.fetch(STATEMENTS["meter_ledger_from"], partition, firsts[0], nexts[-1]):
        for kind, rows, value in (
            ("late", row["adjustments"], row["adjustment_sum"]),
            ("void", row["voids"], row["void_sum"]),
            ("error", row["errors"], Decimal(0)),
        ):
            if rows:
                said[row["first_offset"], row["meter_version_id"], kind] = rows, value
    kept: dict[tuple[int, int, str], tuple[int, Decimal]] = {}
    for row in await connection.fetch(STATEMENTS["adjustments_of_batches"], partition, firsts, nexts):
        kept[row["first_offset"], row["meter_version_id"], row["kind"]] = row["events"], row["value"]
    for row in await connection.fetch(STATEMENTS["quarantine_of_batches"], partition, firsts, nexts):
        kind = "error" if row["meter_version_id"] else "refused"
        kept[row["first_offset"], row["meter_version_id"], kind] = row["rows"], Decimal(0)
    return said, kept


async def totals(connection: Connection, timeout_s: float) -> tuple[int, list[Finding]]:
    """Re-add all windows, and all that stands beside them, against the second ledger; reads whole tables.

    Returns:
        How many sums were compared, and those that differ.

    Raises:
        asyncpg.QueryCanceledError: it took longer than `timeout_s`.
    """
    findings = []
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        await connection.execute(f"SET LOCAL statement_timeout = {round(timeout_s * 1000)}")
        await connection.execute("SET LOCAL max_parallel_workers_per_gather = 0")  # others are in a hurry
        for statement, sentence in _TOTALS.items():
            rows = await connection.fetch(STATEMENTS[statement], timeout=timeout_s + 5)
            findings += [_total(sentence, row) for row in rows]
        checked: int = await connection.fetchval(STATEMENTS["summed_meters"])
    return max(checked, len(findings)), findings


_TOTALS: Final = {
    "doctor_window_totals": "Windows do not re-add to the second ledger.",
    "doctor_adjustment_totals": "What stands beside windows does not re-add to the second ledger.",
}


def _total(sentence: str, row: asyncpg.Record) -> Finding:
    facts = dict(row)
    place: dict[str, Any] = {"rows": "beside" if "kind" in facts else "window"}
    place |= {name: facts.pop(name) for name in ("partition", "meter_version_id", "kind") if name in facts}
    texts = {name: plain_text(value) for name, value in facts.items()}
    expected = {name: text for name, text in texts.items() if name.endswith("_in_ledger")}
    found = {name: text for name, text in texts.items() if name not in expected}
    return Finding(Kind.TOTALS, sentence, place, expected, found)


async def greatest_series(connection: Connection) -> int:
    """The number of the newest series; 0: there is none."""
    number: int = await connection.fetchval(STATEMENTS["greatest_series"])
    return number


async def subjects(
    connection: Connection, series_ids: Sequence[int], partition: int, from_us: int, to_us: int
) -> list[str]:
    """Subjects with a window in a partition that begins in `[from_us, to_us)`, of series chosen by number."""
    rows = await connection.fetch(STATEMENTS["sampled_subjects"], list(series_ids), partition, from_us, to_us)
    return sorted(row["subject"] for row in rows)


async def subjects_after(connection: Connection, meter_version_id: int, subject: str, most: int) -> list[str]:
    """Subjects that a meter version was ever counted for, in order: the first `most` that follow this one."""
    rows = await connection.fetch(STATEMENTS["subjects_after"], meter_version_id, subject, most)
    return [row["subject"] for row in rows]


def _kept(row: asyncpg.Record) -> KeptProof:
    findings = [Finding.of(one) for one in row["findings"]]
    proof = Proof(row["what"], row["checked"], row["wrong"], row["unreadable"], findings)
    return KeptProof(row["proof_id"], row["at"], row["read_at"], proof)
