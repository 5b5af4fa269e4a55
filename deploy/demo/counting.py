"""The demo's first half: events in, exact totals out, compared with a recount."""

import asyncio
import json
import subprocess
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import bad_client
import events
from commands import METERING, Commands, Failed, console, show
from recount import Key, Total, recount
from report import counts_table, differences, totals_table
from workers import Workers

WORKERS: Final = ("worker-1", "worker-2")

TICK_AFTER: Final = timedelta(hours=2)
"""What the log's clock reads after the last event: beyond the end and the grace of every window."""

PATIENCE_S: Final = 90.0
"""A worker that takes longer hangs."""

WORKER_SETTINGS: Final = {
    "METERING_FLUSH_RECORDS": "100",  # small, so that there is a half-way at all
    "METERING_BUFFER_RECORDS": "100",
    "METERING_SESSION_TIMEOUT_S": "6",  # short, so that the survivor soon learns that it is alone
}


class Counting:
    """Publishes the trace, lets workers count it, and compares."""

    def __init__(self, commands: Commands, topic: str, files: Path) -> None:
        self._commands = commands
        self._topic = topic
        self._files = files

    def run(self) -> list[str]:
        """Do every step; a line for everything that was found wrong."""
        outcomes, codes = self._publish()
        self._count(outcomes.total())
        self._commands.do("close", "--once")
        return [*self._wrong_totals(), *self._wrong_counts(outcomes, codes)]

    def _publish(self) -> tuple[Counter[str], Counter[str]]:
        """Send everything; how many records must end with which outcome, and with which code."""
        delivery = events.delivery()
        file = self._files / "events.ndjson"
        file.write_bytes(b"\n".join(delivery.lines))
        first, last = json.loads(delivery.lines[0]), json.loads(delivery.lines[-1])
        bad, conflict = bad_client.malformed(first), bad_client.conflict(last)
        console.print(
            f"{len(delivery.lines):,} events, {delivery.copies:,} of them copies, {delivery.late:,} late; "
            f"{len(bad)} malformed records and one conflict past the publisher"
        )
        self._send_past_publisher(bad, _time(first))
        published = self._commands.ask("publish", str(file), "--tick-after", "2h")[-1]["published"]
        if published != len(delivery.lines):
            raise Failed(f"{published} events were published instead of {len(delivery.lines)}.")
        self._send_past_publisher([conflict], _time(last) + TICK_AFTER)
        outcomes = Counter(
            accepted=len(delivery.lines) - delivery.copies,
            duplicate=delivery.copies,
            conflict=1,
            quarantined=len(bad),
            tick=6,  # one for each partition of topic.yaml
        )
        return outcomes, Counter(record.code for record in [*bad, conflict])

    def _send_past_publisher(self, records: Sequence[bad_client.Bad], time: datetime) -> None:
        shown = {one["name"]: one["value"] for one in self._commands.look("config")}
        timestamp_ms = int(time.timestamp() * 1000)
        asyncio.run(bad_client.send(shown["kafka_bootstrap_servers"], self._topic, records, timestamp_ms))

    def _count(self, records: int) -> None:
        """Let two workers count; kill one half-way, and wait for the other to be done."""
        command = ("worker", "--until-caught-up")
        for name in WORKERS:
            show(command, f"    # {name}")
        environment = {**self._commands.environment, **WORKER_SETTINGS}
        with Workers([METERING, *command], WORKERS, environment, self._files) as workers:
            if not workers.until_counted(records // 2):
                raise Failed(f"A worker ended before half-way: see {self._files}/worker-*.log.")
            victim, survivor = sorted(WORKERS, key=workers.counted.__getitem__, reverse=True)
            workers.kill(victim)
            shares = ", ".join(f"{count:,} by {name}" for name, count in workers.counted.items())
            console.print(f"{sum(workers.counted.values()):,} of {records:,} records are counted: {shares}")
            console.print(f"[yellow]$ kill -9    # {victim}[/]")
            try:
                code = workers.exit_code(survivor, PATIENCE_S)
            except subprocess.TimeoutExpired:
                raise Failed(f"{survivor} is not done after {PATIENCE_S:.0f} s: see its log.") from None
            if code != 0:
                raise Failed(f"{survivor} ended with exit code {code}: see {self._files}/{survivor}.log.")
            console.print(f"{survivor} has counted the rest, and ended with exit code 0.")

    def _wrong_totals(self) -> list[str]:
        counted: dict[Key, Total] = {}
        provisional = 0
        for one in self._commands.ask("totals", "--group-by", "model", "--by-window"):
            key = Key(one["meter"], one["subject"], one["group"]["model"] or "", _time(one, "start"))
            counted[key] = Total(Decimal(one["value"]), one["events"])
            provisional += one["status"] != "final"
        recounted = recount()
        console.print(totals_table(counted, recounted))
        console.print(
            f"All {len(recounted):,} windows compared, each with its value and its number of events."
        )
        wrong = differences(counted, recounted)
        return wrong + ([f"{provisional} windows are not final."] if provisional else [])

    def _wrong_counts(self, outcomes: Counter[str], codes: Counter[str]) -> list[str]:
        status = self._commands.look("status", exits=(0, 1))[0]  # 1: the workers are done, and gone
        counted: Counter[str] = Counter()
        for partition in status["partitions"]:
            counted.update(partition["outcomes"])
        console.print(counts_table("Records by what became of them", counted, outcomes))
        console.print(counts_table("Records in quarantine, by code", status["quarantine"], codes))
        return [
            f"{name}: {found.get(name, 0)} records instead of {wanted.get(name, 0)}"
            for found, wanted in ((counted, outcomes), (status["quarantine"], codes))
            for name in sorted(found.keys() | wanted.keys())
            if found.get(name, 0) != wanted.get(name, 0)
        ]


def _time(event: Mapping[str, Any], name: str = "time") -> datetime:
    return datetime.fromisoformat(event[name])
