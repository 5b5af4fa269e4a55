"""Which meter version counts an event, by the event's time."""

import numpy as np
from oracle.logs import (
    METERS_YAML,
    START_US,
    KafkaRecord,
    StoredCatalog,
    StoredVersion,
    fresh_state,
    partition_of,
    structured,
)
from oracle.logs import catalog as whole_catalog
from oracle.recount import HOUR_US, SpokenEvent

from aggregator.batch import Batch
from aggregator.catalog import Catalog, compile_catalog
from aggregator.fold import fold
from aggregator.reading import read
from schemas.catalog import load_catalog

CALLS = {meter.name: meter.definition() for meter in load_catalog(METERS_YAML, "meters.yaml").meters}["calls"]
SUBJECT = next(s for s in (f"s{n}" for n in range(9)) if partition_of(s) == 0)


def _compiled(*versions: tuple[int, int | None, bool]) -> Catalog:
    """Versions of one meter: (id, effective from, retired)."""
    return compile_catalog(
        StoredCatalog(
            7,
            [
                StoredVersion(i, "calls", n, CALLS, start, gone)
                for n, (i, start, gone) in enumerate(versions, 1)
            ],
        )
    )


def _counted_by(catalog: Catalog, *times_us: int) -> list[int]:
    records = [
        KafkaRecord(n, START_US // 1000, structured(SpokenEvent("/a", str(n), "call", SUBJECT, time_us, {})))
        for n, time_us in enumerate(times_us)
    ]
    batch = fold(read(0, 0, len(records), records), fresh_state(0), catalog)
    assert isinstance(batch, Batch)
    rows = [*batch.increments, *(adjustment.key for adjustment in batch.adjustments)]
    return [key.meter_version_id for key in sorted(rows, key=lambda key: key.window_start_us)]


def test_a_version_is_in_force_from_its_instant_to_the_next_ones() -> None:
    catalog = _compiled((1, None, False), (2, START_US - HOUR_US, False))

    assert _counted_by(catalog, START_US - HOUR_US - 1, START_US - HOUR_US, START_US) == [1, 2, 2]


def test_a_retired_meter_counts_nothing_from_then_on() -> None:
    catalog = _compiled((1, None, False), (2, START_US - HOUR_US, True))

    assert _counted_by(catalog, START_US - HOUR_US - 1, START_US) == [1]


def test_a_version_that_is_replaced_from_the_beginning_never_counts() -> None:
    catalog = _compiled((1, None, False), (2, None, False))

    assert _counted_by(catalog, START_US - HOUR_US, START_US) == [2, 2]


def test_a_new_meter_does_not_count_the_time_before_it() -> None:
    catalog = _compiled((1, START_US, False))

    assert _counted_by(catalog, START_US - 1, START_US) == [1]


def test_past_versions_stay_known_for_repairs() -> None:
    catalog = _compiled((1, None, False), (2, START_US, False))

    assert sorted(catalog.versions) == [1, 2]
    assert catalog.kinds == {1: "count", 2: "count"}
    assert catalog.head == 7


def test_events_keep_their_order_within_a_span() -> None:
    timeline = _compiled((1, None, False), (2, START_US, False)).timelines["call"]
    times = np.array([START_US, START_US - 1, START_US + 1, START_US - 2])

    spans = {m[0].meter_version_id: rows.tolist() for m, rows in timeline.spans(np.arange(4), times)}

    assert spans == {1: [1, 3], 2: [0, 2]}


def test_every_meter_of_the_example_compiles() -> None:
    assert len(whole_catalog().versions) == METERS_YAML.count("name:")
