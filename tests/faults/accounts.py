"""Two accounts of one log that must be equal: what the oracle makes of it, and what the database holds."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Context, Decimal, Inexact, localcontext
from typing import Any, Final

import asyncpg
from faults.topic_log import EXPECTED_CODE, LogRecord, logged_event, murmur2_partition
from oracle.recount import SpokenMeter, recount, window_value

from aggregator.state import TopicRules
from aggregator.store.connection import Connection

Groups = tuple[str | None, ...] | str
"""Group values, or `other`."""

_WIDE: Final = Context(prec=200, traps=[Inexact])


@dataclass
class Account:
    """All effects of a log up to some offsets."""

    outcomes: dict[int, Counter[str]] = field(default_factory=dict)  # by partition
    codes: dict[int, Counter[str]] = field(default_factory=dict)  # of refused events, by partition
    unmetered: dict[int, int] = field(default_factory=dict)
    ids_by_hour: dict[int, Counter[int]] = field(default_factory=dict)  # by partition
    meter_outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    windows: dict[tuple[str, str, Groups, int], tuple[int, Any]] = field(default_factory=dict)
    points: dict[tuple[str, str, Groups, int], list[tuple[int, int, Any]]] = field(default_factory=dict)
    adjustments: dict[tuple[int, int, str], tuple[str, str, Groups, int, Any]] = field(default_factory=dict)
    totals: dict[tuple[str, str, Groups, int], tuple[int, Any]] = field(default_factory=dict, compare=False)
    """Windows with their late events and without those withdrawn, as people read them; the oracle's alone."""


def by_the_oracle(
    logs: Mapping[int, Iterable[LogRecord]],
    next_offsets: Mapping[int, int],
    meters: Sequence[SpokenMeter],
    names: Mapping[int, str],
    rules: TopicRules,
) -> Account:
    """What a plain loop makes of each partition's log, from offset 0 up to its `next_offset`.

    Args:
        logs: by partition.
        next_offsets: how far the database says it has counted.
        meters: as the oracle knows them.
        names: of meters, by version.
        rules: of the topic.
    """
    account = Account()
    by_name = {meter.name: meter for meter in meters}
    for partition, log in logs.items():
        counted = [record for record in log if record.offset < next_offsets[partition]]
        told = [code.decode() for record in counted if (code := record.header(EXPECTED_CODE)) is not None]
        log_read = [logged_event(record, names) for record in counted]
        found = recount(
            log_read,
            meters,
            partition=partition,
            partition_of=lambda subject: murmur2_partition(subject, rules.partitions),
            acceptance_window_us=rules.acceptance_window_us,
            skew_us=rules.skew_us,
            repair_horizon_us=rules.repair_horizon_us,
        )
        gap = next_offsets[partition] - len(counted)
        account.outcomes[partition] = +(found.outcomes + Counter(gap=gap))
        account.codes[partition] = +(found.codes + Counter(told))
        account.unmetered[partition] = found.unmetered
        account.ids_by_hour[partition] = +found.ids_by_hour
        account.meter_outcomes += found.meter_outcomes
        times_us = {logged.offset: logged.event.time_us for logged in log_read if logged.event is not None}
        account.points |= {
            key: sorted(points)
            for key, points in found.windows.items()
            if by_name[key[0]].aggregation == "gauge"
        }
        with localcontext(_WIDE):
            for offset, meter, subject, groups, start_us, value in found.adjustments:
                account.adjustments[partition, offset, meter] = "late", subject, groups, start_us, value
            for offset, meter, subject, groups, start_us, value in found.voids:
                signed = -value if by_name[meter].aggregation == "sum" else value
                account.adjustments[partition, offset, meter] = "void", subject, groups, start_us, signed
            account.windows |= _valued(found.windows, by_name)
            for offset, meter, subject, groups, start_us, value in found.adjustments:
                found.windows[meter, subject, groups, start_us].append((times_us[offset], offset, value))
            for offset, meter, subject, groups, start_us, value in found.voids:
                _withdraw(found.windows[meter, subject, groups, start_us], times_us[offset], value)
            account.totals |= _valued(found.windows, by_name)
    return account


def _withdraw(points: list[tuple[int, int, Any]], time_us: int, value: Any) -> None:
    """Take away the first of equal points; there must be one: a void never takes more than was counted."""
    points.remove(min(point for point in points if (point[0], point[2]) == (time_us, value)))


def _valued(
    windows: Mapping[tuple[str, str, Any, int], list[tuple[int, int, Any]]], meters: Mapping[str, SpokenMeter]
) -> dict[tuple[str, str, Groups, int], tuple[int, Any]]:
    return {key: (len(points), window_value(meters[key[0]], points)) for key, points in windows.items()}


_PARTITIONS: Final = "SELECT partition FROM ingest_partition"
_OUTCOMES: Final = """
    SELECT partition, sum(accepted)::bigint AS accepted, sum(duplicate)::bigint AS duplicate,
        sum(conflict)::bigint AS conflict, sum(quarantined)::bigint AS quarantined, sum(tick)::bigint AS tick,
        sum(gap)::bigint AS gap, sum(lost)::bigint AS lost, sum(unmetered)::bigint AS unmetered
    FROM batch GROUP BY partition
"""
_CODES: Final = """
    SELECT partition, code, count(*) FROM quarantine WHERE meter_version_id = 0 GROUP BY partition, code
"""
_IDS: Final = """
    SELECT partition, (extract(epoch FROM event_hour) / 3600)::bigint AS hour,
        sum(length(entries) / 16)::bigint
    FROM dedupe_chunk GROUP BY partition, event_hour
"""
_METERS: Final = """
    SELECT meter, sum(increments)::bigint, sum(adjustments)::bigint, sum(voids)::bigint, sum(errors)::bigint
    FROM batch_meter JOIN meter_version USING (meter_version_id) GROUP BY meter
"""
_WINDOWS: Final = """
    SELECT meter, subject, is_other, groups, events, value,
        (extract(epoch FROM window_start) * 1000000)::bigint AS start_us,
        ARRAY (
            SELECT member FROM window_member AS m
            WHERE (m.series_id, m.window_start, m.shard) = (w.series_id, w.window_start, w.shard)
        ) AS members
    FROM usage_window AS w JOIN series USING (series_id) JOIN meter_version USING (meter_version_id)
"""
_POINTS: Final = """
    SELECT meter, subject, is_other, groups, value, point_offset,
        (extract(epoch FROM point_time) * 1000000)::bigint AS time_us,
        (extract(epoch FROM window_start) * 1000000)::bigint AS start_us
    FROM window_point JOIN series USING (series_id) JOIN meter_version USING (meter_version_id)
    ORDER BY point_time, point_offset
"""
_ADJUSTMENTS: Final = """
    SELECT partition, record_offset, kind, meter, subject, is_other, groups, value, member,
        (extract(epoch FROM window_start) * 1000000)::bigint AS start_us
    FROM adjustment AS a JOIN series USING (series_id) JOIN meter_version AS v
        ON v.meter_version_id = a.meter_version_id
"""


async def by_the_database(connection: Connection, meters: Sequence[SpokenMeter]) -> Account:
    """What the tables say, read by plain SQL."""
    account = Account()
    for (partition,) in await connection.fetch(_PARTITIONS):
        account.outcomes[partition] = Counter()
        account.codes[partition] = Counter()
        account.unmetered[partition] = 0
        account.ids_by_hour[partition] = Counter()
    for row in await connection.fetch(_OUTCOMES):
        outcomes = dict(row)
        partition = outcomes.pop("partition")
        account.unmetered[partition] = outcomes.pop("unmetered")
        account.outcomes[partition] = +Counter(outcomes)
    for partition, code, count in await connection.fetch(_CODES):
        account.codes[partition][code] = count
    for partition, hour, ids in await connection.fetch(_IDS):
        account.ids_by_hour[partition][hour] = ids
    for meter, *counts in await connection.fetch(_METERS):
        kinds = ("increment", "adjustment", "void", "meter_error")
        account.meter_outcomes.update({(meter, kind): n for kind, n in zip(kinds, counts, strict=True) if n})
    aggregations = {meter.name: meter.aggregation for meter in meters}
    for row in await connection.fetch(_WINDOWS):
        key = row["meter"], row["subject"], _groups(row), row["start_us"]
        assert key not in account.windows, "a subject has one shard"
        account.windows[key] = row["events"], _value(aggregations[row["meter"]], row)
    for row in await connection.fetch(_POINTS):
        key = row["meter"], row["subject"], _groups(row), row["start_us"]
        account.points.setdefault(key, []).append((row["time_us"], row["point_offset"], row["value"]))
    for row in await connection.fetch(_ADJUSTMENTS):
        value = row["value"] if row["member"] is None else row["member"]
        account.adjustments[row["partition"], row["record_offset"], row["meter"]] = (
            row["kind"],
            row["subject"],
            _groups(row),
            row["start_us"],
            value,
        )
    return account


def _groups(row: asyncpg.Record) -> Groups:
    return "other" if row["is_other"] else tuple(row["groups"])


def _value(aggregation: str, row: asyncpg.Record) -> int | Decimal | frozenset[str]:
    if aggregation == "count":
        return int(row["events"])
    if aggregation == "unique":
        return frozenset(row["members"])
    return Decimal(row["value"])
