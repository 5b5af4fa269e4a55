"""`/metrics` of every process at work: all that it shows is in the catalogue as its own."""

import json
import uuid

from integration.cli.fixtures import Metering, write
from support.processes import CommandProcess, Commands
from support.telemetry import Samples, scraped, shown_names

from metering.dev.conditions import until
from metering.telemetry.catalogue import CATALOGUE
from metering.telemetry.kinds import Counter, Process
from metering.telemetry.prometheus import PROCESS_METRICS

TOPIC = "name: metrics\npartitions: 2\nclock: record\nretention_ms: -1\n"
CATALOG = """\
meters:
  - {name: calls, event_type: call, aggregation: count, window: 1h, grace: 15m}
"""
COMMANDS: dict[Process, str] = {
    "worker": "worker",
    "closer": "close",
    "rater": "rate",
    "api": "api",
    "observer": "observe",
    "auditor": "prove",
}
EVENTS = 20


def event(number: int) -> str:
    return json.dumps(
        {
            "specversion": "1.0",
            "id": uuid.uuid4().hex,
            "source": "tests",
            "type": "call",
            "subject": f"customer-{number}",
            "time": f"2023-11-16T18:{number:02}:00Z",
            "data": {},
        }
    )


async def admin_port(process: CommandProcess) -> int:
    port: int = (await process.logged("admin_listening"))["port"]
    return port


async def test_what_each_process_shows_is_in_the_catalogue(metering: Metering, commands: Commands) -> None:
    write("topic.yaml", TOPIC)
    write("metering.toml", 'topic_file = "topic.yaml"\n')
    write("catalog.yaml", CATALOG)
    lines = [event(number) for number in range(EVENTS)]
    write("events.jsonl", "\n".join([*lines, lines[0]]) + "\n")
    await metering("migrate")
    await metering("topics", "apply")
    await metering("catalog", "apply", "catalog.yaml")
    await metering("publish", "events.jsonl", "--tick-after", "2h")

    commands.environment |= {
        "METERING_ADMIN_PORT": "0",
        "METERING_API_PORT": "0",
        "METERING_LOG_FORMAT": "json",
        "METERING_PROVE_INTERVAL_S": "0.2",
    }
    ports = {process: await admin_port(commands.start(command)) for process, command in COMMANDS.items()}

    async def counted() -> bool:
        return (await scraped(ports["worker"]))["metering_events_total", (("outcome", "tick"),)] == 2

    async def closed() -> bool:
        return ("metering_closing_timestamp_seconds", ()) in await scraped(ports["closer"])

    assert await until(counted, deadline_s=60)

    async def observed() -> bool:
        return ("metering_group_state", (("state", "ok"),)) in await scraped(ports["observer"])

    async def proved() -> bool:
        return ("metering_proof_accuracy", ()) in await scraped(ports["auditor"])

    assert await until(closed, deadline_s=30)
    assert await until(proved, deadline_s=30)
    assert await until(observed, deadline_s=30)
    shown = {process: await scraped(port) for process, port in ports.items()}
    for process, samples in shown.items():
        all_are_its_own(process, samples)

    worker = shown["worker"]
    assert worker["metering_events_total", (("outcome", "accepted"),)] == EVENTS
    assert worker["metering_events_total", (("outcome", "duplicate"),)] == 1
    assert worker["metering_meter_events_total", (("outcome", "increment"),)] == EVENTS
    assert sum(worker["metering_memory_ids", (("partition", f"{one}"),)] for one in range(2)) == EVENTS
    assert shown["closer"]["metering_at_work", (("duty", "closer"),)] == 1
    assert shown["rater"]["metering_at_work", (("duty", "rater"),)] == 1
    auditor = shown["auditor"]
    assert auditor["metering_proof_accuracy", ()] == 1
    assert auditor["metering_proof_windows_total", (("result", "equal"),)] >= EVENTS
    assert not any(value for (name, _), value in auditor.items() if name == "metering_proof_findings")


def all_are_its_own(process: Process, shown: Samples) -> None:
    """Nothing is there that the catalogue does not name as this process's, and every counter is."""
    mine = [one for one in CATALOGUE if process in one.of]
    instruments = {name: one for one in mine for name in shown_names(one)}
    names = {name for name, _ in shown}
    assert names <= {*instruments, *PROCESS_METRICS, "target_info"}
    assert names >= {*PROCESS_METRICS, *(one.prometheus_name for one in mine if isinstance(one, Counter))}
    for name, labels in shown:
        if name in instruments:
            allowed = {label.name: label for label in instruments[name].labels}
            given = {label: value for label, value in labels if label != "le"}
            assert set(given) == set(allowed)
            assert all(allowed[label].bounded(value) == value for label, value in given.items())
