"""Which versions a log is replayed with, when a catalog is meant to have been there in time."""

from collections.abc import Sequence

from oracle.logs import HOUR_US, RULES, StoredVersion

from aggregator.backdating import Backdated, backdated
from schemas.catalog import Meter, load_catalog

FIRST_US, SECOND_US = 1_000 * HOUR_US, 2_000 * HOUR_US


def meter(name: str, value: str = "n") -> Meter:
    text = (
        f"meters: [{{name: {name}, event_type: e, aggregation: sum, value: {value}, window: 1h, grace: 0s}}]"
    )
    (found,) = load_catalog(text, "meters.yaml").meters or []
    return found


STORED = [
    StoredVersion(1, "spend", 1, meter("spend", "net").definition()),
    StoredVersion(2, "calls", 1, meter("calls").definition()),
    StoredVersion(3, "spend", 2, meter("spend", "gross").definition(), FIRST_US),
    StoredVersion(4, "calls", 2, meter("calls").definition(), SECOND_US, retired=True),
]


def versions(found: Backdated) -> Sequence[tuple[int, str, int, int | None, bool]]:
    assert not found.errors
    return [
        (one.meter_version_id, one.meter, one.version, one.effective_from_us, one.retired)
        for one in found.versions
    ]


def test_from_the_beginning_everything_is_what_the_file_says() -> None:
    found = backdated(STORED, [meter("spend", "gross"), meter("fresh")], None, RULES)
    assert versions(found) == [(5, "fresh", 1, None, False), (3, "spend", 2, None, False)]


def test_a_version_that_never_was_gets_an_id_and_a_number_of_its_own() -> None:
    found = backdated(STORED, [meter("spend", "other"), meter("calls")], None, RULES)
    assert versions(found) == [(2, "calls", 1, None, False), (5, "spend", 3, None, False)]


def test_before_the_instant_versions_are_those_that_counted() -> None:
    found = backdated(STORED, [meter("spend", "other")], FIRST_US, RULES)
    assert versions(found) == [
        (1, "spend", 1, None, False),
        (2, "calls", 1, None, False),
        (4, "calls", 2, FIRST_US, True),
        (5, "spend", 3, FIRST_US, False),
    ]


def test_what_does_not_fit_is_said() -> None:
    found = backdated(STORED, [meter("spend", "other")], FIRST_US + 1, RULES)
    assert {error.code for error in found.errors} == {"effective_from_not_aligned"}
