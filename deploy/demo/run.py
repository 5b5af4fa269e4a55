"""The demo: real LLM usage through a real Kafka into Postgres windows, counted once whatever happens.

An hour of requests to two LLM services is published with copies, late events and malformed ones. Two workers
count them, and one is killed with -9 half-way. Then every total is compared with a recount straight from the
CSV files. Only the product's public commands are used, so the same steps do the same for a catalog and events
of your own.

Each run has a topic, a consumer group and a schema of its own; `metering dev down --purge` removes them all.
"""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import bad_client
import events
from recount import Key, Total, recount
from report import counts_table, differences, totals_table
from rich.console import Console
from workers import Workers

ROOT: Final = Path(__file__).parents[2]
HERE: Final = Path("deploy/demo")
FILES: Final = Path(".dev/demo")
METERING: Final = Path(sys.executable).with_name("metering")

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

console = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 110)


class Failed(Exception):  # noqa: N818 - an outcome
    """The demo ends here; the text says why."""


def main() -> int:
    """Run the demo; 0 only if every total and every count agree."""
    os.chdir(ROOT)
    FILES.mkdir(parents=True, exist_ok=True)
    began_s = time.monotonic()
    try:
        demo = Demo(f"demo_{datetime.now(UTC):%Y%m%d_%H%M%S}")
        wrong = demo.run()
    except Failed as failed:
        console.print(str(failed), markup=False)
        return 1
    except subprocess.CalledProcessError as failed:
        return failed.returncode  # the command has said why, and what to do
    if wrong:
        console.print(f"[bold red]{len(wrong):,} differences:[/]")
        console.print("\n".join(wrong), markup=False)
        return 1
    console.print(f"[bold green]Everything agrees[/], {time.monotonic() - began_s:.0f} s after the start.\n")
    demo.say_what_to_try()
    return 0


class Demo:
    """One run; `name` is that of its topic, its consumer group and its schema."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._settings = {
            "METERING_TOPIC": name,
            "METERING_TOPIC_FILE": str(HERE / "topic.yaml"),
            "METERING_CONSUMER_GROUP": name,
            "METERING_POSTGRES_SCHEMA": name,
        }
        self._environment = {**os.environ, **self._settings}

    def run(self) -> list[str]:
        """Do every step; a line for everything that was found wrong."""
        self._do("dev", "up")
        self._do("migrate")
        self._do("topics", "apply")
        changes = self._ask("catalog", "apply", str(HERE / "catalog.yaml"))[0]["changes"]
        console.print(f"{len(changes)} meters: {', '.join(change['meter'] for change in changes)}")
        outcomes, codes = self._publish()
        self._count(outcomes.total())
        self._do("close", "--once")
        wrong = [*self._wrong_totals(), *self._wrong_counts(outcomes, codes)]
        try:
            self._do("doctor")
        except subprocess.CalledProcessError:
            wrong.append("`metering doctor` is not content: see above.")
        return wrong

    def say_what_to_try(self) -> None:
        """A few commands that work as they are printed."""
        variables = FILES / "settings.sh"
        lines = (f"export {name}={value}\n" for name, value in self._settings.items())
        variables.write_text("".join(lines))
        metering, csv = os.path.relpath(METERING), HERE / "data" / "AzureLLMInferenceTrace_code.csv"
        console.print(
            f"The stack is still up, and `make down` ends it. What to try next:\n"
            f"\n  source {variables}    # this run's topic and schema"
            f"\n  {metering} totals --group-by model --subject customer-07"
            f"\n  {metering} totals --meter requests --by-window --from 2023-11-16T19:00:00Z --json"
            f"\n  {metering} quarantine list"
            f"\n"
            f"\n  # The same requests once more, from the CSV file: all of them copies, and no total changes."
            f"\n  {metering} publish --csv {csv} --mapping {HERE / 'mapping-code.yaml'}"
            f"\n  {metering} worker --until-caught-up"
            f"\n  {metering} status\n",
            markup=False,
        )

    def _publish(self) -> tuple[Counter[str], Counter[str]]:
        """Send everything; how many records must end with which outcome, and with which code."""
        delivery = events.delivery()
        file = FILES / "events.ndjson"
        file.write_bytes(b"\n".join(delivery.lines))
        first, last = json.loads(delivery.lines[0]), json.loads(delivery.lines[-1])
        bad, conflict = bad_client.malformed(first), bad_client.conflict(last)
        console.print(
            f"{len(delivery.lines):,} events, {delivery.copies:,} of them copies, {delivery.late:,} late; "
            f"{len(bad)} malformed records and one conflict past the publisher"
        )
        self._send_past_publisher(bad, _time(first))
        published = self._ask("publish", str(file), "--tick-after", "2h")[-1]["published"]
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
        shown = {one["name"]: one["value"] for one in self._look("config")}
        timestamp_ms = int(time.timestamp() * 1000)
        asyncio.run(bad_client.send(shown["kafka_bootstrap_servers"], self._name, records, timestamp_ms))

    def _count(self, records: int) -> None:
        """Let two workers count; kill one half-way, and wait for the other to be done."""
        command = ("worker", "--until-caught-up")
        for name in WORKERS:
            _show(command, f"    # {name}")
        environment = {**self._environment, **WORKER_SETTINGS}
        with Workers([METERING, *command], WORKERS, environment, FILES) as workers:
            if not workers.until_counted(records // 2):
                raise Failed(f"A worker ended before half-way: see {FILES}/worker-*.log.")
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
                raise Failed(f"{survivor} ended with exit code {code}: see {FILES}/{survivor}.log.")
            console.print(f"{survivor} has counted the rest, and ended with exit code 0.")

    def _wrong_totals(self) -> list[str]:
        counted: dict[Key, Total] = {}
        provisional = 0
        for one in self._ask("totals", "--group-by", "model", "--by-window"):
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
        status = self._look("status")[0]
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

    def _do(self, *command: str) -> None:
        """Run a command that speaks for itself."""
        _show(command)
        subprocess.run([METERING, *command], env=self._environment, check=True)

    def _ask(self, *command: str) -> list[Any]:
        """What a command says to a machine."""
        _show(command)
        return self._look(*command)

    def _look(self, *command: str) -> list[Any]:
        done = subprocess.run(
            [METERING, *command, "--json"], env=self._environment, stdout=subprocess.PIPE, check=True
        )
        return [json.loads(line) for line in done.stdout.splitlines()]


def _show(command: Iterable[str], remark: str = "") -> None:
    console.print(f"$ metering {' '.join(command)}{remark}", style="bold", markup=False)


def _time(event: Mapping[str, Any], name: str = "time") -> datetime:
    return datetime.fromisoformat(event[name])


if __name__ == "__main__":
    sys.exit(main())
