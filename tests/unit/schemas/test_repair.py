"""A repair header is exactly what this system writes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.codes import Code
from schemas.repair import REPAIR_HEADER, RepairHeaderRefused, RepairOrigin, repair_origin

origins = st.builds(
    RepairOrigin,
    st.integers(0, 10_000),
    st.integers(0, 2**59),
    st.sampled_from(Code),
    st.none() | st.integers(1, 999_999_999),
)


def read(header: bytes) -> RepairOrigin | Code:
    try:
        return RepairOrigin.parse(header)
    except RepairHeaderRefused as refused:
        return refused.code


@given(origins)
def test_an_origin_reads_back(origin: RepairOrigin) -> None:
    assert RepairOrigin.parse(origin.encode()) == origin


changes = st.sampled_from([b"", b"0", b";", b" ", b"\xff", b"x"])


@given(origins.map(RepairOrigin.encode), st.integers(0, 60), changes)
def test_only_what_we_write_is_read(header: bytes, place: int, change: bytes) -> None:
    changed = header[:place] + change + header[place + 1 :]
    origin = read(changed)
    if isinstance(origin, Code):
        assert origin is Code.BAD_REPAIR_HEADER
    else:
        assert origin.encode() == changed


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"partition=1;offset=2",
        b"partition=-1;offset=2;code=misplaced",
        b"partition=01;offset=2;code=misplaced",
        b"partition=1;offset=2;code=unheard_of",
        b"partition=1;offset=2;code=misplaced\n",
        b"partition=1;offset=2;code=misplaced;meter_version=",
        b"offset=2;partition=1;code=misplaced",
        b"partition=1;offset=9999999999999999999;code=misplaced",
        b"partition=4000000000;offset=2;code=misplaced",
        b"partition=1;offset=2;code=misplaced;meter_version=0",
        b"partition=1;offset=2;code=misplaced;meter_version=5000000000",
    ],
)
def test_anything_else_is_refused(header: bytes) -> None:
    with pytest.raises(RepairHeaderRefused):
        RepairOrigin.parse(header)


def test_a_record_names_one_origin_or_none() -> None:
    origin = RepairOrigin(1, 2, Code.CONFLICT)
    repair = (REPAIR_HEADER, origin.encode())
    assert repair_origin([("traceparent", b"00")]) is None
    assert repair_origin([("traceparent", b"00"), repair]) == origin
    with pytest.raises(RepairHeaderRefused):
        repair_origin([repair, repair])
    with pytest.raises(RepairHeaderRefused):
        repair_origin([(REPAIR_HEADER, None)])
