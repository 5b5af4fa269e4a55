"""What can come back from quarantine as it is: each obstacle, and that nothing changes its meaning."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.backdating import BackdatedVersion
from aggregator.meter import compile_meter
from aggregator.remedy import Ground, InTheWay, LandingRules, Obstacle, Way, decoded, reads_alike, way_back
from metering.quarantine.replacement import rewritten
from schemas.catalog import load_catalog
from schemas.codes import Code
from schemas.event import MAX_BESIDE_VALUE_BYTES
from schemas.partitioner import murmur2_partition
from schemas.repair import REPAIR_HEADER
from schemas.wire import Event, Refusal, Void

HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US
NOW_US = 100 * DAY_US
RULES = LandingRules(
    partitions=3,
    partitioner="murmur2",
    clock="broker",
    skew_us=300_000_000,
    repair_horizon_us=35 * DAY_US,
)
OLD = "aggregation: sum, value: n, group_by: {region: where}"
NEW = "aggregation: sum, value: usage.n, group_by: {region: place.name}"


def ground(*meters: str, retired: bool = False) -> Ground:
    """Versions of one meter, the newest last."""
    definitions = [
        load_catalog(f"meters:\n  - {{name: m, event_type: t, window: 1h, grace: 0s, {meter}}}", "m").meters
        for meter in meters
    ]
    versions = [
        BackdatedVersion(number, "m", number, parsed[0].definition(), None, retired and number == len(meters))
        for number, parsed in enumerate((one or [] for one in definitions), start=1)
    ]
    return Ground(RULES, dict.fromkeys(range(RULES.partitions), NOW_US), versions)


def event(values: dict[str, Any], time_us: int = NOW_US - DAY_US, **changes: Any) -> Event:
    return Event("1", "/s", "t", "acme", time_us, values, msgspec.Raw(msgspec.json.encode({})), **changes)


def obstacle(code: Code, given: Event | Refusal, version: int | None = None, *meters: str) -> str | None:
    found = way_back(code, given, version, ground(*(meters or (OLD,))))
    return found.obstacle if isinstance(found, InTheWay) else None


@pytest.mark.parametrize("code", [Code.TOO_OLD, Code.IN_FUTURE, Code.STORE_REJECTED, Code.VOID_UNMATCHED])
def test_a_valid_event_comes_back_to_its_subjects_partition(code: Code) -> None:
    way = way_back(code, event({}), None, ground(OLD))
    assert isinstance(way, Way)
    assert (way.target_partition, way.reading) == (murmur2_partition(b"acme", 3), None)


@pytest.mark.parametrize(
    ("behind_us", "expected"),
    [
        (-RULES.skew_us - 1, Obstacle.NOT_YET),
        (-RULES.skew_us, None),
        (RULES.repair_horizon_us, None),
        (RULES.repair_horizon_us + 1, Obstacle.TOO_OLD_TO_REPAIR),
    ],
)
def test_its_time_must_be_one_that_a_repair_may_have(behind_us: int, expected: str | None) -> None:
    assert obstacle(Code.TOO_OLD, event({}, NOW_US - behind_us)) == expected


def test_nothing_is_known_of_a_log_that_was_never_counted() -> None:
    bare = Ground(RULES, dict.fromkeys(range(3)), [])
    assert isinstance(way_back(Code.TOO_OLD, event({}, 0), None, bare), Way)


@pytest.mark.parametrize(
    ("code", "given"),
    [
        (Code.NOT_JSON, Refusal(Code.NOT_JSON, "x")),
        (Code.CONFLICT, event({})),
        (Code.VOID_DIFFERS, event({})),
    ],
)
def test_what_would_be_refused_again_needs_a_correction(code: Code, given: Event | Refusal) -> None:
    assert obstacle(code, given) == Obstacle.NEEDS_FIX


def test_a_forged_repair_header_is_left_behind() -> None:
    value = msgspec.json.encode(
        {
            "specversion": "1.0",
            "id": "1",
            "source": "/s",
            "type": "t",
            "subject": "acme",
            "time": "2026-11-01T00:00:00Z",
            "data": {},
        }
    )
    assert isinstance(decoded(None, value, [(REPAIR_HEADER, b"forged")]), Event)
    large = decoded(None, value, [("x", b"x" * MAX_BESIDE_VALUE_BYTES)])
    assert isinstance(large, Refusal)
    assert large.code is Code.OVERSIZE


@pytest.mark.parametrize(
    ("values", "meters", "expected"),
    [
        ({"n": "many"}, (OLD,), Obstacle.METER_CANNOT_READ),
        ({"usage": {"n": 1}}, (OLD, NEW), None),
        ({"usage": {"n": "many"}}, (OLD, NEW), Obstacle.METER_CANNOT_READ),
        ({"usage": {"n": 1}}, (OLD, f"{NEW}, unit: MB"), Obstacle.METER_CANNOT_READ),
        ({"usage": {"n": 1}}, (OLD, NEW.replace("region", "area")), Obstacle.METER_CANNOT_READ),
        ({"usage": {"n": 1}}, (OLD, NEW.replace("sum", "max")), Obstacle.METER_CANNOT_READ),
        ({"usage": {"n": 1}}, (OLD, f"{NEW}, filter: {{kind: [paid]}}"), Obstacle.NOT_METERED),
        ({"usage": {"n": 1}, "kind": "paid"}, (OLD, f"{NEW}, filter: {{kind: [paid]}}"), None),
        ({"n": 1}, (OLD,), None),  # a release that reads more
    ],
)
def test_a_meter_gets_what_its_newest_version_reads(
    values: dict[str, Any], meters: tuple[str, ...], expected: str | None
) -> None:
    assert obstacle(Code.VALUE_MISSING, event(values), 1, *meters) == expected


def test_a_retired_meter_reads_nothing_more() -> None:
    found = way_back(Code.VALUE_MISSING, event({"usage": {"n": 1}}), 1, ground(OLD, NEW, retired=True))
    assert isinstance(found, InTheWay)
    assert found.obstacle is Obstacle.METER_CANNOT_READ


def test_a_meter_that_only_grows_takes_nothing_back() -> None:
    void = event({"n": 1}, control=Void("v", "/s", NOW_US))
    grows = OLD.replace("sum", "max")
    assert obstacle(Code.VOID_NOT_SUBTRACTABLE, void, 1, grows) == Obstacle.NOT_SUBTRACTABLE


NUMBERS = st.one_of(
    st.integers(-(10**37), 10**37),
    st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**20), max_value=10**20, places=12),
)
TEXTS = st.text(
    st.characters(codec="utf-8", exclude_characters="\0"), max_size=5
)  # as an event can have them
GROUPS = st.one_of(st.none(), TEXTS, st.integers(0, 9), st.booleans(), st.just(Decimal("1.50")))


@given(number=NUMBERS, group=GROUPS, other=st.one_of(st.none(), st.just({"deep": 1})), is_void=st.booleans())
def test_the_older_version_reads_exactly_what_the_newest_did(
    *, number: int | Decimal, group: object, other: object, is_void: bool
) -> None:
    """Told in the plainest way: the number, and the group as a text."""
    control = Void("v", "/s", NOW_US) if is_void else None
    given_event = event({"usage": {"n": number}, "place": {"name": group}, "where": other}, control=control)
    way = way_back(Code.VALUE_MISSING, given_event, 1, ground(OLD, NEW))
    assert isinstance(way, Way)
    assert way.reading is not None
    replacement = rewritten(given_event, way.reading.data)
    sent = decoded(replacement.key, replacement.value, replacement.headers)
    assert reads_alike(way.reading.meter, sent, way.reading.read)
    assert isinstance(sent, Event)
    read = compile_meter(1, "m", ground(OLD).versions[0].definition).read([sent])
    texts = {True: "true", False: "false"}
    text = group if isinstance(group, str) or group is None else texts.get(group, "1.5")
    if type(group) is int:
        text = str(group)
    assert (read.values[0], read.groups.of(0)) == (number, (text,))
    assert (sent.id, sent.source, sent.subject, sent.time_us) == ("1", "/s", "acme", given_event.time_us)
    assert (sent.control is not None) == is_void
