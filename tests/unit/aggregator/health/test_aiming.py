"""What is looked for is what the sums say is wrong, less what was found; against plain sums of tables."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from aggregator.health.aiming import Place, unaccounted
from aggregator.health.finding import Finding, Kind

ROWS = st.dictionaries(
    st.tuples(
        st.integers(0, 1), st.integers(1, 2), st.sampled_from(["window", "late", "void"]), st.integers(0, 3)
    ),
    st.tuples(st.integers(1, 3), st.integers(-2, 2)),
)
Rows = dict[tuple[int, int, str, int], tuple[int, int]]


def summed(rows: Rows, of: tuple[int, int, str]) -> tuple[int, int]:
    counted = [row for key, row in rows.items() if key[:3] == of]
    events = sum(events for events, _ in counted) if of[2] == "window" else len(counted)
    return events, sum(value for _, value in counted)


def totals(right: Rows, stored: Rows) -> list[Finding]:
    findings = []
    for of in sorted({key[:3] for key in [*right, *stored]}):
        partition, meter_version_id, kind = of
        there, here = summed(right, of), summed(stored, of)
        place: dict[str, Any] = {"partition": partition, "meter_version_id": meter_version_id}
        events, value = "events_in_windows", "sum_in_windows"
        if kind != "window":
            place["kind"] = kind
            events, value = "adjustments", "sum_of_adjustments"
        if there != here:
            expected = {"events_in_ledger": f"{there[0]}", "sum_in_ledger": f"{there[1]}"}
            found = {events: f"{here[0]}", value: f"{here[1]}"}
            findings.append(Finding(Kind.TOTALS, "", place, expected, found))
    return findings


def wrong(right: Rows, stored: Rows) -> list[Finding]:
    findings = []
    for key in sorted({*right, *stored}):
        if right.get(key) == stored.get(key):
            continue
        partition, meter_version_id, kind, number = key
        sides: list[Any] = [
            None if row is None else {"kind": kind, "events": row[0], "value": f"{row[1]}"}
            for row in (right.get(key), stored.get(key))
        ]
        is_window = kind == "window"
        place = {"partition": partition, "meter_version_id": meter_version_id, "row": f"{kind} {number}"}
        findings.append(Finding(Kind.WINDOW if is_window else Kind.ADJUSTMENT, "", place, *sides))
    return findings


@given(ROWS, ROWS)
def test_nothing_is_looked_for_once_all_is_found(right: Rows, stored: Rows) -> None:
    assert unaccounted(totals(right, stored), wrong(right, stored)) == []


@given(ROWS, ROWS)
def test_every_wrong_sum_is_looked_for_while_nothing_is_found(right: Rows, stored: Rows) -> None:
    places = {
        (key[0], key[1]) for key in [*right, *stored] if summed(right, key[:3]) != summed(stored, key[:3])
    }
    assert unaccounted(totals(right, stored), []) == sorted(Place(*place) for place in places)


def test_of_two_wrong_windows_the_second_is_looked_for() -> None:
    right: Rows = {(0, 1, "window", 0): (1, 5), (0, 1, "window", 1): (1, 5)}
    stored: Rows = {(0, 1, "window", 0): (1, 6), (0, 1, "window", 1): (1, 7)}
    first, second = wrong(right, stored)
    assert unaccounted(totals(right, stored), [first]) == [Place(0, 1)]
    assert unaccounted(totals(right, stored), [first, second]) == []
