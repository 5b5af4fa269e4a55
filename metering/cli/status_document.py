"""A look at everything, as one JSON object whose keys are fixed."""

from typing import Any

from aggregator.finality import MeterFinality
from metering.cli.output import time_text
from metering.observer.counted import DUTIES, Accounts
from metering.observer.look import KAFKA, POSTGRES, Look, Standing


def document(seen: Look) -> dict[str, Any]:
    """Every key is there, whatever could be seen; what is not known is null, or empty."""
    accounts, group = seen.accounts, seen.group
    topic = None if accounts is None else accounts.topic
    return {
        "topic": None if topic is None else topic.name,
        "servers": {server: server not in seen.problems for server in (KAFKA, POSTGRES)},
        "state": None if group is None else group.state.value,
        "state_of": [] if group is None else list(group.partitions),
        "catalog_head": None if accounts is None else accounts.catalog_head,
        "closing": None if accounts is None else time_text(accounts.closing_us),
        **{duty: None if accounts is None else accounts.at_work[duty] for duty in DUTIES},
        "proof": None if accounts is None else _proof(accounts),
        "newest_event_time": None if accounts is None else time_text(accounts.newest_event_us),
        "freshness_s": None if accounts is None else _seconds(accounts.freshness_us),
        "outbox_pending": None if accounts is None else accounts.outbox_pending,
        "quarantine": dict(seen.quarantine),
        "silent_sources": [{"source": one.source, "since": time_text(one.since_us)} for one in seen.silent],
        "stops": [] if accounts is None else [stop._asdict() for stop in accounts.stops],
        "meters": [] if accounts is None else [_meter(one) for one in accounts.meters],
        "partitions": [] if accounts is None else [_partition(accounts, one) for one in seen.standings],
    }


def _proof(accounts: Accounts) -> dict[str, Any] | None:
    if not accounts.proofs:
        return None
    return {
        "at": time_text(max(one.at_us for one in accounts.proofs.values())),
        "accuracy": accounts.accuracy,
        "findings": sum(one.proof.wrong for one in accounts.proofs.values()),
    }


def _partition(accounts: Accounts, one: Standing) -> dict[str, Any]:
    row, log = one.status, one.log
    return {
        "partition": row.partition,
        "state": None if one.state is None else one.state.value,
        "owner": row.owner,
        "is_connected": row.is_connected,
        "epoch": row.epoch,
        "first_offset": row.first_offset,
        "next_offset": row.next_offset,
        "start_offset": None if log is None else log.start_offset,
        "end_offset": None if log is None else log.end_offset,
        "lag_records": one.lag_records,
        "lag_s": _seconds(one.lag_us),
        "waiting_since": None if log is None else time_text(log.waiting_since_us),
        "frontier": time_text(row.frontier_us),
        "newest_event_time": time_text(row.newest_time_us),
        "behind_s": _seconds(accounts.behind_us(row)),
        "flushed_at": time_text(row.flushed_us),
        "outcomes": row.outcomes._asdict(),
        "unmetered": row.unmetered,
    }


def _meter(one: MeterFinality) -> dict[str, Any]:
    return {
        "meter": one.meter,
        "final_before": time_text(one.final_before_us),
        "next_end": time_text(one.next_end_us),
        "waiting_for": one.waiting_for.value,
        "partition": one.partition,
        "missing_s": _seconds(one.missing_us),
        "overdue_s": _seconds(one.overdue_us),
    }


def _seconds(duration_us: int | None) -> float | None:
    return None if duration_us is None else duration_us / 1_000_000
