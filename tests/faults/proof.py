"""What must hold when the faults are over: every table and every total is what the log itself says."""

import asyncio
import json
from base64 import b64decode
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final, NamedTuple, Self

from faults.accounts import Account, Groups, by_the_database, by_the_oracle
from faults.scenario import DEADLINE_S, Scenario
from faults.topic_log import EXPECTED_CODE, LogRecord, read_topic
from oracle.logs import METERS

from aggregator.store.connection import Connection
from metering.dev.conditions import until

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_GROUPS: Final = {meter.name: meter.group_by for meter in METERS}
_PATIENT: Final = {"METERING_STATEMENT_TIMEOUT_S": "60"}
"""Of those who only look: workers give up much sooner here."""

_ALL_GROUPS: Final = sorted({name for names in _GROUPS.values() for name in names})


async def is_exact(scenario: Scenario) -> Account:
    """Fail unless everything is counted once, and `metering` says the same; give what was counted.

    The log is read back from Kafka, so that gaps, ticks and repairs are where they really lie.
    """
    account = await is_exact_so_far(scenario)
    await _all_is_counted(scenario)
    return account


async def is_exact_so_far(scenario: Scenario) -> Account:
    """The same, of a log that was not counted to its end."""
    rules = scenario.rules
    logs = await read_back(scenario)
    witness = await scenario.witness()
    next_offsets = await scenario.next_offsets()
    versions = await witness.fetch("SELECT meter_version_id, meter FROM meter_version")
    meters = {row["meter_version_id"]: row["meter"] for row in versions}
    decided = await Decisions.read(witness)
    records = {partition: decided.applied(partition, log) for partition, log in logs.items()}
    expected = by_the_oracle(records, next_offsets, scenario.meters, meters, rules)
    decided.book_what_is_lost(expected)
    assert await by_the_database(witness, scenario.meters) == expected
    await _nobody_writes_after_another_claim(scenario, witness)
    if scenario.closers:
        await all_is_closed(scenario, witness)
    await _refusals_are_kept(witness, logs)
    totals, _ = await asyncio.gather(_totals(scenario), doctor_is_content(scenario))
    assert totals == {
        key: (events, len(value) if isinstance(value, frozenset) else _number(value))
        for key, (events, value) in expected.totals.items()
    }
    return expected


class Decisions(NamedTuple):
    """What operators have decided about records, which the oracle has to follow."""

    caps_us: Mapping[tuple[int, int], int]  # by partition and offset
    skipped: Sequence[tuple[int, int, int]]  # partition, first offset, next offset

    @classmethod
    async def read(cls, witness: Connection) -> Self:
        caps = await witness.fetch(
            "SELECT partition, record_offset, (extract(epoch FROM cap) * 1000000)::bigint FROM clock_cap"
        )
        skipped = await witness.fetch("SELECT partition, first_offset, next_offset FROM skipped")
        return cls(
            {(place, offset): cap_us for place, offset, cap_us in caps}, [tuple(row) for row in skipped]
        )

    def applied(self, partition: int, records: Sequence[LogRecord]) -> list[LogRecord]:
        """The records as they count."""
        lost = [range(first, end) for place, first, end in self.skipped if place == partition]
        return [
            record._replace(
                timestamp_us=min(
                    record.timestamp_us, self.caps_us.get((partition, record.offset), record.timestamp_us)
                )
            )
            for record in records
            if not any(record.offset in offsets for offsets in lost)
        ]

    def book_what_is_lost(self, account: Account) -> None:
        """A record that was skipped looks like a gap to the oracle."""
        for partition, first, end in self.skipped:
            account.outcomes[partition].update(lost=end - first, gap=first - end)
            account.outcomes[partition] = +account.outcomes[partition]


async def _nobody_writes_after_another_claim(scenario: Scenario, witness: Connection) -> None:
    """What lies behind the offset that was claimed has the epoch of that claim, or a later one."""
    written = await witness.fetch("SELECT partition, epoch, next_offset FROM batch")
    for worker in scenario.workers:
        for claimed in worker.events("partitions_claimed"):
            for partition, offset in claimed["partitions"].items():
                epoch = claimed["epochs"][partition]
                behind = [row for row in written if row["partition"] == int(partition)]
                assert all(row["epoch"] >= epoch for row in behind if row["next_offset"] > offset)


async def all_is_closed(scenario: Scenario, witness: Connection) -> None:
    """Closers have come through all of it: what the frontiers allow is final, and doctor says of the rest."""

    async def is_closed() -> bool:
        return bool(
            await witness.fetchval(
                "SELECT min(p.frontier) = coalesce((SELECT c.log_time FROM closing AS c), '-infinity')"
                " FROM ingest_partition AS p"
            )
        )

    assert await until(is_closed, deadline_s=DEADLINE_S)
    assert None in {closer.exit_code for closer in scenario.closers}


async def read_back(scenario: Scenario) -> dict[int, list[LogRecord]]:
    """Each partition's log, with what was known to be there before it was deleted."""
    rules = scenario.rules
    if scenario.replaced is not None:
        return {partition: list(log) for partition, log in scenario.replaced.items()}
    logs = await asyncio.to_thread(read_topic, scenario.bootstrap_servers, rules.name, rules.partitions)
    return {
        partition: [
            *(r for r in scenario.deleted.get(partition, ()) if r.offset < log.beginning),
            *log.records,
        ]
        for partition, log in enumerate(logs)
    }


async def _refusals_are_kept(witness: Connection, logs: Mapping[int, Sequence[LogRecord]]) -> None:
    """Each refused record lies in quarantine as it lies in the log."""
    in_log = {(partition, record.offset): record for partition, log in logs.items() for record in log}
    for row in await witness.fetch(
        "SELECT partition, record_offset, code, meter_version_id, key, value, headers FROM quarantine"
    ):
        record = in_log[row["partition"], row["record_offset"]]
        stored = json.loads(row["headers"])
        headers = [(name, None if value is None else b64decode(value)) for name, value in stored]
        assert (row["key"], row["value"], headers) == (record.key, record.value, list(record.headers))
        expected_code = record.header(EXPECTED_CODE)
        assert expected_code is None or row["code"] == expected_code.decode()


async def _totals(scenario: Scenario) -> dict[tuple[str, str, Groups, int], tuple[int, Decimal | None]]:
    """What `metering totals` prints of every window."""
    totals: dict[tuple[str, str, Groups, int], tuple[int, Decimal | None]] = {}
    printed = await scenario.commands.run(
        "totals", "--by-window", "--group-by", ",".join(_ALL_GROUPS), "--json", **_PATIENT
    )
    for line in map(json.loads, printed.splitlines()):
        groups: Groups = tuple(line["group"][name] for name in _GROUPS[line["meter"]])
        if line.get("other"):
            groups = "other"
        key = line["meter"], line["subject"], groups, _instant_us(line["start"])
        assert key not in totals
        totals[key] = line["events"], _number(line["value"])
    return totals


def _number(value: int | str | Decimal | None) -> Decimal | None:
    """None of a gauge whose points are all withdrawn."""
    return None if value is None else Decimal(value)


async def doctor_is_content(scenario: Scenario) -> None:
    doctor = scenario.commands.start("doctor", "--json")
    assert await doctor.ended(deadline_s=60) in (0, 1)
    checks = [json.loads(line) for line in doctor.output.read_text().splitlines()]
    assert checks
    found = [check for check in checks if not check["ok"] and check["severity"] != "info"]
    assert {check["code"] for check in found} <= _FAULTS, found


_FAULTS = {"partitions", "owners", "stops", "late", "data_loss", "horizon"}
"""What a scenario does to workers and logs is found too; what was counted must be right for all that.

What its producers send, and who else is not at work, is told for information.
"""


async def settled(scenario: Scenario) -> None:
    """Wait until workers that go on working have nothing left to count, nor a repair to publish."""

    async def is_settled() -> bool:
        waiting = await scenario.answer("SELECT count(*) FROM repair_outbox WHERE published_at IS NULL")
        logs, reached = await read_back(scenario), await scenario.next_offsets()
        return waiting == 0 and all(
            not log or log[-1].offset < reached[partition] for partition, log in logs.items()
        )

    assert await until(is_settled, deadline_s=DEADLINE_S)


async def _all_is_counted(scenario: Scenario) -> None:
    # The workers have ended by now, and for how long they have is the machine's business.
    printed = await scenario.commands.run("status", "--json", METERING_HEALTH_WINDOW_S="3600")
    status = json.loads(printed)
    assert [one["lag_records"] for one in status["partitions"]] == [0] * scenario.rules.partitions
    assert status["outbox_pending"] == 0


def _instant_us(text: str) -> int:
    return (datetime.fromisoformat(text) - _EPOCH) // timedelta(microseconds=1)


def outcomes(account: Account) -> Counter[str]:
    """Outcomes of all partitions together."""
    return sum(account.outcomes.values(), Counter())


def codes(account: Account) -> Counter[str]:
    """Refusals of all partitions together, by code."""
    return sum(account.codes.values(), Counter())
