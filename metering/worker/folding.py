"""From fetched records to batches: pure, it touches nothing but its arguments."""

from typing import NamedTuple

from aggregator.batch import Batch
from aggregator.catalog import Catalog
from aggregator.clock import clock_jump, wrong_timestamp_type
from aggregator.fold import fold
from aggregator.reading import Reading, split
from aggregator.state import Needs, PartitionState
from metering.worker.backlog import Stretch
from metering.worker.stops import Stop
from schemas.codes import Code


class Checked(NamedTuple):
    """A stretch up to the first record that must not be folded; None if that is its very first."""

    reading: Reading | None
    stop: Stop | None


class Folded(NamedTuple):
    """What became of a stretch; without a reading there is no result."""

    reading: Reading | None
    stop: Stop | None
    result: Batch | Needs | None


def fold_stretch(stretch: Stretch, state: PartitionState, catalog: Catalog, now_us: int) -> Folded:
    """Check a stretch and fold it on the state before it."""
    reading, stop = checked(stretch, state, now_us)
    return Folded(reading, stop, None if reading is None else fold(reading, state, catalog))


def checked(stretch: Stretch, state: PartitionState, now_us: int) -> Checked:
    """A stretch, cut before a record that no clock or contract allows."""
    reading = stretch.reading
    stop = _first_stop(reading, state, now_us)
    if stop is None:
        return Checked(reading, None)
    if stop.offset == reading.first_offset:
        return Checked(None, stop)
    return Checked(split(reading, stop.offset)[0], stop)


def _first_stop(reading: Reading, state: PartitionState, now_us: int) -> Stop | None:
    stops = []
    jump = clock_jump(reading, state, now_us)
    if jump is not None:
        ahead_s = (jump.timestamp_us - now_us) / 1e6
        seen = f"its timestamp is {ahead_s:.0f} s ahead of this worker's clock"
        stops.append(Stop(Code.CLOCK_JUMP, reading.partition, jump.offset, seen))
    wrong = wrong_timestamp_type(reading, state.rules)
    if wrong is not None:
        seen = f"its timestamp is not of the type that `clock: {state.rules.clock}` asks for"
        code = Code.CREATE_TIME_TOPIC if state.rules.clock == "broker" else Code.TOPIC_MISMATCH
        stops.append(Stop(code, reading.partition, wrong, seen))
    return min(stops, key=lambda stop: stop.offset, default=None)
