"""What stored ids tell by themselves: which hour they are of, and that they are of different events."""

import pytest

from aggregator.store.ids import Slice
from metering.doctor.ids import wrong

HOUR = 495_000
ENTRIES = [bytes([number]) * 15 + bytes([HOUR & 0xFF]) for number in range(5)]


def a_slice(*entries: bytes) -> Slice:
    return Slice(3, HOUR, 70, b"".join(entries))


def test_entries_of_an_hour_that_differ_are_right() -> None:
    assert wrong(a_slice(*ENTRIES)) is None


@pytest.mark.parametrize("bit", [1, 128])
def test_one_of_another_hour_is_counted(bit: int) -> None:
    changed = ENTRIES[1][:15] + bytes([ENTRIES[1][15] ^ bit])
    row = wrong(a_slice(ENTRIES[0], changed, *ENTRIES[2:]))
    assert row == {
        "partition": 3,
        "event_hour": "2026-06-21T00:00:00Z",
        "first_offset": 70,
        "looked_at": 5,
        "of_other_hours": 1,
        "twice": 0,
    }


@pytest.mark.parametrize("place", [12, 13, 14])
def test_one_that_is_there_twice_is_counted_whatever_it_says(place: int) -> None:
    again = bytearray(ENTRIES[4])
    again[place] ^= 1
    row = wrong(a_slice(*ENTRIES, bytes(again)))
    assert row is not None
    assert (row["of_other_hours"], row["twice"]) == (0, 1)


@pytest.mark.parametrize("place", [0, 7, 8, 11])
def test_another_identity_is_another_event(place: int) -> None:
    other = bytearray(ENTRIES[4])
    other[place] ^= 1
    assert wrong(a_slice(*ENTRIES, bytes(other))) is None
