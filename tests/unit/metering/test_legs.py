"""A partition's way past what operators gave up."""

from aggregator.store.replay import Skip
from metering.replay.legs import Leg, legs, reads


def skip(first_offset: int, next_offset: int) -> Skip:
    return Skip(0, first_offset, next_offset, "reason", "who")


def test_without_skips_there_is_one_leg() -> None:
    assert legs(10, []) == [Leg(10, None)]
    assert reads(3, legs(10, [])) == [range(3, 10)]


def test_each_skip_ends_a_leg_and_its_offsets_are_not_read() -> None:
    way = legs(30, [skip(20, 25), skip(5, 9), skip(9, 11)])
    assert [leg.until for leg in way] == [5, 9, 20, 30]
    assert reads(0, way) == [range(5), range(11, 20), range(25, 30)]


def test_a_log_whose_beginning_was_given_up_need_not_be_there() -> None:
    assert reads(0, legs(30, [skip(0, 12)])) == [range(12, 30)]
    assert reads(0, legs(12, [skip(0, 12)])) == []
