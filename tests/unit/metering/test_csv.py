"""A CSV file and a mapping make CloudEvents: digits, times, buckets; and every bad row says why."""

import json
from pathlib import Path

import pytest

from metering.errors import InputRefusedError
from metering.publisher.csv_rows import csv_lines
from metering.publisher.mapping import load_mapping
from metering.publisher.refusal import EventRefused, checked
from schemas.instant import parse_time_us

MAPPING = """
event:
  id: "trace-{row}"
  source: trace
  type: llm.completion
  subject: {template: "customer-{bucket:02d}", buckets: 3}
  time: {column: TIMESTAMP, zone: UTC}
data:
  input_tokens: {column: In, type: number}
  model: {constant: code}
  cached: {column: Cached, type: bool}
  note: "{In}/{row}"
"""


def lines(tmp_path: Path, csv: str, mapping: str = MAPPING) -> list[bytes | EventRefused]:
    (tmp_path / "mapping.yaml").write_text(mapping)
    (tmp_path / "rows.csv").write_text(csv)
    return [line.event for line in csv_lines(tmp_path / "rows.csv", load_mapping(tmp_path / "mapping.yaml"))]


def one(tmp_path: Path, mapping_time: str, cell: str) -> str:
    mapping = MAPPING.replace("{column: TIMESTAMP, zone: UTC}", mapping_time)
    (event,) = lines(tmp_path, f"TIMESTAMP,In,Cached\n{cell},1,true\n", mapping)
    if isinstance(event, EventRefused):
        raise event
    checked(event)
    return str(json.loads(event)["time"])


def test_a_row_becomes_an_event_with_the_files_own_digits(tmp_path: Path) -> None:
    (event, second) = lines(
        tmp_path,
        "TIMESTAMP,In,Cached,Other\n"
        "2023-11-16 18:17:03.9799600,12345678901234567890.10,true,x\n"
        '2023-11-16 18:17:04,8,,"a,b"\n',
    )
    assert isinstance(event, bytes)
    assert b'"input_tokens":12345678901234567890.10' in event
    assert json.loads(event) == {
        "specversion": "1.0",
        "id": "trace-1",
        "source": "trace",
        "type": "llm.completion",
        "subject": "customer-01",
        "time": "2023-11-16T18:17:03.9799600Z",
        "data": {
            "input_tokens": 12345678901234567890.10,
            "model": "code",
            "cached": True,
            "note": "12345678901234567890.10/1",
        },
    }
    assert isinstance(second, bytes)
    assert "cached" not in json.loads(second)["data"]
    assert checked(event).time_us == parse_time_us("2023-11-16T18:17:03.97996Z")


def test_buckets_spread_rows_evenly_and_always_the_same(tmp_path: Path) -> None:
    rows = "TIMESTAMP,In,Cached\n" + "2023-11-16T18:17:04Z,1,true\n" * 7
    subjects = [json.loads(event)["subject"] for event in lines(tmp_path, rows) if isinstance(event, bytes)]
    assert subjects == [f"customer-0{n % 3}" for n in range(1, 8)]


@pytest.mark.parametrize(
    ("mapping_time", "cell", "expected"),
    [
        ("{column: TIMESTAMP}", "2023-11-16T18:17:03.9799600+01:00", "2023-11-16T18:17:03.9799600+01:00"),
        ("{column: TIMESTAMP, zone: UTC}", "2023-11-16 18:17:03.5+02:00", "2023-11-16T18:17:03.5+02:00"),
        ("{column: TIMESTAMP, zone: Europe/Berlin}", "2023-07-01 12:00:00.1", "2023-07-01T12:00:00.1+02:00"),
        ("{column: TIMESTAMP, zone: Europe/Berlin}", "2023-10-29 02:30:00", "2023-10-29T02:30:00+02:00"),
        ("{column: TIMESTAMP, format: unix_s}", "1700157423.5", "2023-11-16T17:57:03.5Z"),
        ("{column: TIMESTAMP, format: unix_ms}", "1700157423500", "2023-11-16T17:57:03.5Z"),
        ("{column: TIMESTAMP, format: unix_us}", "1700157423500001", "2023-11-16T17:57:03.500001Z"),
        (
            '{column: TIMESTAMP, format: "%d/%m/%Y %H:%M:%S.%f", zone: UTC}',
            "16/11/2023 18:17:03.9799600",
            "2023-11-16T18:17:03.979960+00:00",
        ),
        ('"{TIMESTAMP}T00:00:00Z"', "2023-11-16", "2023-11-16T00:00:00Z"),
    ],
)
def test_times_are_read_as_the_mapping_says(
    tmp_path: Path, mapping_time: str, cell: str, expected: str
) -> None:
    assert one(tmp_path, mapping_time, cell) == expected


@pytest.mark.parametrize(
    ("mapping_time", "cell", "code"),
    [
        ("{column: TIMESTAMP}", "2023-11-16 18:17:03", "naive_time"),
        ("{column: TIMESTAMP, zone: UTC}", "yesterday", "bad_time"),
        ("{column: TIMESTAMP, zone: Europe/Berlin}", "yesterday", "bad_time"),
        ('{column: TIMESTAMP, format: "%Y"}', "yesterday", "bad_time"),
        ("{column: TIMESTAMP, format: unix_s}", "soon", "not_a_number"),
    ],
)
def test_a_time_that_is_none_is_refused(tmp_path: Path, mapping_time: str, cell: str, code: str) -> None:
    with pytest.raises(EventRefused) as refusal:
        one(tmp_path, mapping_time, cell)
    assert refusal.value.code == code


@pytest.mark.parametrize(
    ("cells", "code"),
    [
        ("2023-11-16T18:17:03Z,007,true", "not_a_number"),
        ('2023-11-16T18:17:03Z,"1,000",true', "not_a_number"),
        (f"2023-11-16T18:17:03Z,{'9' * 39},true", "number_too_long"),
        ("2023-11-16T18:17:03Z,1,maybe", "bad_cell"),
        ("2023-11-16T18:17:03Z,1", "row_shape"),
        ("2023-11-16T18:17:03Z,1,true,more", "row_shape"),
    ],
)
def test_a_bad_row_is_refused_with_its_number_and_the_next_is_read(
    tmp_path: Path, cells: str, code: str
) -> None:
    bad, good = lines(tmp_path, f"TIMESTAMP,In,Cached\n{cells}\n2023-11-16T18:17:03Z,1,true\n")
    assert isinstance(bad, EventRefused)
    assert bad.code == code
    assert isinstance(good, bytes)


@pytest.mark.parametrize(
    ("header", "reason"),
    [("TIMESTAMP,In", "Cached"), ("TIMESTAMP,In,In,Cached", "In"), ("", "TIMESTAMP")],
)
def test_a_column_that_is_not_there_once_is_named(tmp_path: Path, header: str, reason: str) -> None:
    with pytest.raises(InputRefusedError, match=reason) as refusal:
        lines(tmp_path, f"{header}\n")
    assert refusal.value.code == "column_missing"


def test_broken_quotes_end_the_file_with_a_reason(tmp_path: Path) -> None:
    with pytest.raises(InputRefusedError) as refusal:
        lines(tmp_path, 'TIMESTAMP,In,Cached\n2023-11-16T18:17:03Z,"1"x,true\n')
    assert refusal.value.code == "csv_unreadable"


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ('"trace-{row}"', '"trace-{row"', 3),
        ('"trace-{row}"', '"trace-{row!r}"', 3),
        ('"trace-{row}"', '"trace-{}"', 3),
        ("source: trace", "sauce: trace", 4),
        (", buckets: 3", "", 6),
        ("{column: TIMESTAMP, zone: UTC}", "{column: TIMESTAMP, zone: Mars}", 7),
        ("{column: TIMESTAMP, zone: UTC}", "{column: TIMESTAMP, template: x}", 7),
        ("type: number", "type: float", 9),
    ],
)
def test_a_wrong_mapping_is_refused_at_its_line(tmp_path: Path, old: str, new: str, line: int) -> None:
    assert old in MAPPING
    (tmp_path / "mapping.yaml").write_text(MAPPING.replace(old, new, 1))
    with pytest.raises(InputRefusedError, match=rf"mapping\.yaml:{line}: ") as refusal:
        load_mapping(tmp_path / "mapping.yaml")
    assert refusal.value.code == "mapping_invalid"


def test_a_mapping_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputRefusedError) as refusal:
        load_mapping(tmp_path / "absent.yaml")
    assert refusal.value.code == "mapping_unreadable"
