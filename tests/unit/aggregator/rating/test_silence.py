"""When a meter has fallen silent, against a walk over every hour."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from aggregator.rating.silence import (
    ChargedMeter,
    ChargedTime,
    PastUse,
    SilenceKind,
    fallen_silent,
    never_used,
)


def charged(*times: tuple[int, int | None]) -> ChargedMeter:
    return ChargedMeter("acme-pro", "acme", "m", [ChargedTime("acme", *one) for one in times])


@given(st.sets(st.integers(0, 30), min_size=1), st.integers(-5, 0), st.integers(0, 60))
def test_silence_is_longer_than_every_time_without_events_before(
    used: set[int], start: int, until: int
) -> None:
    hours = sorted(used)
    gaps = [later - earlier - 1 for earlier, later in pairwise(hours)]
    past = PastUse(hours[0], max(gaps, default=0))
    silence = fallen_silent(charged((start, None)), past, hours[-1] + 1, until)

    run, longest, found = 0, 0, None
    for hour in range(start, max(until, hours[-1] + 1)):
        run = 0 if hour in used else run + 1
        if hour <= hours[-1]:
            longest = max(longest, run)
        elif hour < until and run > longest:
            found = run
    assert (None if silence is None else silence.length_us) == found
    if silence is not None:
        assert (silence.kind, silence.longest_before_us) == (SilenceKind.SILENT, longest)


def test_what_was_never_used_is_told_once_some_of_its_time_is_final() -> None:
    one = charged((20, None), (10, 15))
    assert never_used(one, 10) is None
    silence = never_used(one, 12)
    assert silence is not None
    assert (silence.kind, silence.since_us, silence.length_us, silence.longest_before_us) == (
        SilenceKind.NEVER_USED,
        10,
        2,
        None,
    )


def test_a_meter_is_charged_within_its_times() -> None:
    one = charged((20, None), (10, 15))
    assert [hour for hour in range(25) if one.is_charged(hour)] == [*range(10, 15), *range(20, 25)]
