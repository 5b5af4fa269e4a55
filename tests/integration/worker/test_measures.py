"""What a worker says of itself, against what was sent and what the database has."""

import time
from collections import defaultdict
from dataclasses import replace

from integration.worker.fixtures import NewWorld
from integration.worker.world import Usage
from support.telemetry import Labels, Samples, scraped

from metering.dev.conditions import until
from metering.dev.ports import free_ports

EVENTS = 60
REGIONS = ("a", "b", "c", "d")  # twice as many as the meter `models` lets a window have


def total(shown: Samples, name: str, **labels: str) -> float:
    wanted: Labels = tuple(labels.items())
    return sum(value for (one, given), value in shown.items() if one == name and set(wanted) <= set(given))


async def test_it_measures_what_was_sent_and_what_was_written(new_world: NewWorld) -> None:
    port, began_s = free_ports(1)[0], time.time()
    world = await new_world(partitions=2, admin_port=port)
    events = [Usage(f"subject-{number % 3}", number, region=REGIONS[number % 4]) for number in range(EVENTS)]
    await world.publish(events)
    copies = [events[0], events[1]]
    contradictions = [replace(events[2], tokens=999_999)]
    for one in (*copies, *contradictions):
        await world.producer.send_and_wait(world.settings.topic, one.value, key=one.subject.encode())
    await world.producer.send_and_wait(world.settings.topic, b"no JSON", partition=0)
    offsets = EVENTS + 4

    async with world.worker():
        await world.counts(offsets)

        async def caught_up() -> bool:
            shown = await scraped(port)
            return total(shown, "metering_events_total") >= offsets

        assert await until(caught_up, deadline_s=30)
        shown = await scraped(port)
        elapsed_s = time.time() - began_s
        batches = await world.rows("SELECT sum(next_offset - first_offset) AS offsets FROM batch")

    assert total(shown, "metering_events_total") == offsets
    assert total(shown, "metering_events_total", outcome="accepted") == EVENTS
    assert total(shown, "metering_events_total", outcome="duplicate") == len(copies)
    assert total(shown, "metering_events_total", outcome="conflict") == len(contradictions)
    assert total(shown, "metering_refusals_total", code="not_json") == 1
    assert total(shown, "metering_refusals_total", code="conflict") == len(contradictions)

    seen: dict[tuple[str, object], set[str]] = defaultdict(set)
    over = 0
    for event in events:
        groups = seen[event.subject, event.time.date()]
        if event.region in groups or len(groups) < 2:
            groups.add(event.region)
        else:
            over += 1
    assert over
    assert total(shown, "metering_cardinality_overflow_total") == over
    assert total(shown, "metering_cardinality_overflow_total", meter="models") == over

    assert total(shown, "metering_memory_ids") == EVENTS
    assert total(shown, "metering_memory_size_bytes") == 16 * EVENTS
    assert total(shown, "metering_batch_records_sum") == batches[0]["offsets"]
    parts = total(shown, "metering_batch_records_count")
    for record in ("oldest", "newest"):
        assert total(shown, "metering_visible_latency_seconds_count", record=record) == parts
        assert total(shown, "metering_visible_latency_seconds_sum", record=record) <= elapsed_s * parts
    assert total(shown, "metering_visible_latency_seconds_sum", record="newest") <= total(
        shown, "metering_visible_latency_seconds_sum", record="oldest"
    )

    flushes = total(shown, "metering_flush_duration_seconds_count", result="committed")
    for stage in ("check", "ledger", "ids", "windows", "quarantine", "commit"):
        assert total(shown, "metering_flush_stage_duration_seconds_count", stage=stage) == flushes
    assert total(shown, "metering_flush_stage_duration_seconds_sum") <= total(
        shown, "metering_flush_duration_seconds_sum", result="committed"
    )
    assert total(shown, "metering_claim_duration_seconds_count") >= 1
    assert total(shown, "metering_database_connections_total", line="flushes") == 1
    assert total(shown, "metering_ready") == 1


async def test_where_producers_stamp_no_latency_is_made_up(new_world: NewWorld) -> None:
    port = free_ports(1)[0]
    world = await new_world(partitions=1, clock="record", admin_port=port)
    await world.publish([Usage("subject", 1)])
    async with world.worker():
        await world.counts(1)

        async def counted() -> bool:
            return total(await scraped(port), "metering_events_total", outcome="accepted") == 1

        assert await until(counted, deadline_s=60)
        assert not total(await scraped(port), "metering_visible_latency_seconds_count")
