"""What must hold of rated totals and their feed when the faults are over: all is what the log itself says."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any, Final

from faults.proof import read_back
from faults.rated_terms import (
    FLAT,
    GREATEST_GRACE_US,
    INCLUDED,
    PAYERS,
    PERCENT,
    PERIOD_US,
    PLACES,
    RULES,
    START_US,
    THRESHOLD,
    Payer,
)
from faults.scenario import Scenario
from faults.topic_log import logged_event, murmur2_partition, read_topic
from oracle.rated import HOUR_US, LineFound, Logged, lines
from oracle.recount import recount

Lines = Mapping[str, LineFound]
Key = tuple[str, int]
"""A subscription and the start of one of its periods."""


async def rated_as_recounted(scenario: Scenario) -> int:
    """Fail unless the versions of all periods are what plain loops make of the log; how many there are."""
    witness = await scenario.witness()
    told = await _told(scenario)
    closing_us = await witness.fetchval(
        "SELECT (extract(epoch FROM log_time) * 1000000)::bigint FROM closing"
    )
    rows = await witness.fetch(
        "SELECT document::text AS document FROM rated_total ORDER BY subscription, period_start, version"
    )
    found: dict[Key, list[dict[str, Any]]] = {}
    for row in rows:
        document = json.loads(row["document"])
        start_us = _instant_us(document["period"]["start"])
        found.setdefault((document["subscription"], start_us), []).append(document)
    expected = {
        (payer.name, start_us): _versions(payer, start_us, told, closing_us)
        for payer in PAYERS
        for start_us in range(START_US, closing_us - GREATEST_GRACE_US - PERIOD_US + 1, PERIOD_US)
    }
    assert found.keys() == expected.keys()
    for key, documents in found.items():
        assert [(one["version"], _instant_us(one["cut"])) for one in documents] == [
            (number, cut_us) for number, (cut_us, _) in enumerate(expected[key], start=1)
        ]
        before = None
        for document, (_, recounted) in zip(documents, expected[key], strict=True):
            _is_recounted(document, recounted)
            _differs(before, document)
            before = document
    await _crossed_once(scenario, told, found)
    return len(rows)


async def fed_once(scenario: Scenario, topic: str) -> Sequence[Mapping[str, Any]]:
    """Fail unless the feed tells of each version and crossing once, and its topic the same; what it tells."""
    witness = await scenario.witness()
    entries = await witness.fetch("SELECT position, kind, id, payload::text AS payload FROM feed ORDER BY 1")
    assert [entry["position"] for entry in entries] == list(range(1, len(entries) + 1))
    told = [json.loads(entry["payload"]) for entry in entries]
    digests = await witness.fetch(
        "SELECT subscription, version, period_start, encode(digest, 'hex') AS digest FROM rated_total"
    )
    crossings = await witness.fetch("SELECT subscription, period_start, threshold FROM threshold_crossing")
    assert sorted(one["id"] for one in told) == sorted(
        [_id(row, row["version"]) for row in digests] + [_id(row, row["threshold"]) for row in crossings]
    )
    assert {one["id"]: one["digest"] for one in told if "digest" in one} == {
        _id(row, row["version"]): row["digest"] for row in digests
    }
    (pushed,) = read_topic(scenario.bootstrap_servers, topic, 1)
    events = [json.loads(record.value or b"") for record in pushed.records]
    assert [(event["feedposition"], event["id"], event["data"]) for event in events] == [
        (entry["position"], entry["id"], one) for entry, one in zip(entries, told, strict=True)
    ]
    return told


def _id(row: Mapping[str, Any], last: object) -> str:
    return f"{row['subscription']}/{row['period_start']:%Y-%m-%dT%H:%M:%SZ}/{last}"


async def _told(scenario: Scenario) -> Mapping[str, Sequence[Logged]]:
    """All that counts, by subject."""
    rules = scenario.rules
    told: dict[str, list[Logged]] = {}
    for partition, log in (await read_back(scenario)).items():
        found = recount(
            [logged_event(record, {}) for record in log],
            scenario.meters,
            partition=partition,
            partition_of=lambda subject: murmur2_partition(subject, rules.partitions),
            acceptance_window_us=rules.acceptance_window_us,
            skew_us=rules.skew_us,
            repair_horizon_us=rules.repair_horizon_us,
        )
        for frontier_us, logged in found.accepted:
            event = logged.event
            assert event is not None
            told.setdefault(event.subject, []).append(
                Logged(
                    logged.offset,
                    frontier_us,
                    event.type,
                    event.subject,
                    event.time_us,
                    event.data,
                    logged.is_void,
                )
            )
    return told


def _versions(
    payer: Payer, start_us: int, told: Mapping[str, Sequence[Logged]], closing_us: int
) -> list[tuple[int, Lines]]:
    """The cuts of a period at which anything changed, with the lines that stand then."""
    end_us = start_us + PERIOD_US
    used = [
        one for subject in payer.subjects for one in told.get(subject, ()) if start_us <= one.time_us < end_us
    ]
    first_us = end_us + GREATEST_GRACE_US
    later = {
        first_us + ((one.log_time_us - first_us) // HOUR_US + 1) * HOUR_US
        for one in used
        if one.log_time_us >= first_us
    }
    versions = [(first_us, _lines(payer, start_us, end_us, used, first_us))]
    for cut_us in sorted(later):
        recounted = _lines(payer, start_us, end_us, used, cut_us)
        if cut_us <= closing_us and recounted != versions[-1][1]:
            versions.append((cut_us, recounted))
    return versions


def _lines(payer: Payer, start_us: int, end_us: int, used: Sequence[Logged], cut_us: int) -> Lines:
    return {
        name: lines(used, rule, payer.subjects, start_us, end_us, cut_us, places=PLACES)[()]
        for name, rule in RULES.items()
    }


def _is_recounted(document: Mapping[str, Any], recounted: Lines) -> None:
    (segment,) = document["segments"]
    flat, *charges = segment["charges"]
    written = {charge["charge"]: charge["lines"] for charge in charges}
    assert {
        name: [
            LineFound(
                Fraction(line["quantity"]), Fraction(line["unrounded_amount"]), Fraction(line["amount"])
            )
            for line in of_charge
        ]
        for name, of_charge in written.items()
    } == {name: [line] for name, line in recounted.items()}
    amounts = [line.amount for line in recounted.values()]
    assert Fraction(flat["amount"]) == FLAT
    assert Fraction(document["amount"]) == FLAT + sum(amounts, Fraction(0))


def _differs(before: Mapping[str, Any] | None, document: Mapping[str, Any]) -> None:
    """By what stands in the difference: in money, and in the units and money of each charge."""
    if before is None:
        assert document["difference"] is None
        return
    difference = document["difference"]
    assert Fraction(before["amount"]) + Fraction(difference["amount"]) == Fraction(document["amount"])
    expected = {}
    for old, new in zip(before["segments"][0]["charges"], document["segments"][0]["charges"], strict=True):
        (was,), (is_,) = old["lines"], new["lines"]
        by = tuple(Fraction(is_[name]) - Fraction(was[name]) for name in ("quantity", "amount"))
        if was["quantity"] != is_["quantity"]:
            expected[new["charge"]] = by
    assert {
        line["charge"]: (Fraction(line["quantity"]), Fraction(line["amount"])) for line in difference["lines"]
    } == expected


async def _crossed_once(
    scenario: Scenario, told: Mapping[str, Sequence[Logged]], found: Mapping[Key, Sequence[Mapping[str, Any]]]
) -> None:
    """Who is above a threshold when the period is rated has crossed it; who never had so much has not."""
    witness = await scenario.witness()
    crossings = await witness.fetch("SELECT subscription, period_start, threshold FROM threshold_crossing")
    assert {row["threshold"] for row in crossings} == {THRESHOLD}
    crossed = [(row["subscription"], _us(row["period_start"])) for row in crossings]
    assert len(crossed) == len(set(crossed))
    reached = INCLUDED * Fraction(PERCENT, 100)
    above = set()
    for key, (first, *_) in found.items():
        (line,) = next(one for one in first["segments"][0]["charges"] if one["charge"] == "calls")["lines"]
        if Fraction(line["quantity"]) >= reached:
            above.add(key)
    assert above <= set(crossed)
    payers = {payer.name: payer for payer in PAYERS}
    for name, start_us in crossed:
        times_us = range(start_us, start_us + PERIOD_US)
        events = [
            one
            for subject in payers[name].subjects
            for one in told.get(subject, ())
            if one.time_us in times_us and one.type == "call" and not one.is_void
        ]
        assert len(events) >= reached


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def _instant_us(text: str) -> int:
    return _us(datetime.fromisoformat(text))


def _us(instant: datetime) -> int:
    return round((instant - _EPOCH).total_seconds()) * 1_000_000
