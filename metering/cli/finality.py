"""`metering finality`: what is final of each meter, what is next, and what it waits for."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from rich.text import Text

from aggregator.finality import MeterFinality, Waiting, meter_finality
from aggregator.store import finality as store
from aggregator.store import migrate, turns
from aggregator.store.finality import Finality
from metering.cli.output import Json, duration_text, print_json, print_table, say, time_text
from metering.database import database
from metering.settings import Settings, load_settings

CLOSER: Final = "closer"


@dataclass(frozen=True, slots=True)
class _Seen:
    state: Finality
    meters: Sequence[MeterFinality]
    closer: str | None  # the one at work


def finality(*, as_json: Json = False) -> None:
    """Show per meter up to when it is final, which window is next, and which partition holds that back.

    All times are of the log. A meter waits for `time` (no partition's log has come so far), for a `partition`
    (others have), or for the `closer` (all have, and `metering close` is to say so).
    """
    seen = asyncio.run(_look(load_settings()))
    if as_json:
        print_json(*(_line(seen, one) for one in seen.meters))
    else:
        _show(seen)


async def _look(settings: Settings) -> _Seen:
    async with database(settings) as connection:
        await migrate.require_migrated(connection)
        state = await store.finality(connection)
        holder = await turns.holder(connection, CLOSER)
    meters = [
        meter_finality(versions, state.final_before_us, state.frontiers) for versions in state.meters.values()
    ]
    return _Seen(state, meters, None if holder is None else holder.name)


def _show(seen: _Seen) -> None:
    print_table(
        "Finality",
        [
            "Meter",
            "Final before",
            "Next window ends",
            "Final at log time",
            "Waits for",
            "Partition",
            "Missing",
        ],
        (_row(one) for one in seen.meters),
    )
    closing = time_text(seen.state.closing_us)
    say(f"Every partition has reached {closing}." if closing else "Nothing is final yet.")
    if seen.closer is None:
        say("No closer is at work: start `metering close`.", "yellow")


def _row(one: MeterFinality) -> tuple[object, ...]:
    blocks = one.waiting_for is Waiting.PARTITION
    return (
        one.meter,
        time_text(one.final_before_us),
        time_text(one.next_end_us),
        time_text(one.needed_us),
        Text(one.waiting_for.value, "yellow" if blocks else ""),
        one.partition,
        _missing(one),
    )


def _missing(one: MeterFinality) -> str | None:
    if one.frontier_us is None and one.partition is not None:
        return "no record yet"
    return None if one.missing_us is None else duration_text(one.missing_us)


def _line(seen: _Seen, one: MeterFinality) -> dict[str, Any]:
    return {
        "meter": one.meter,
        "version": one.version,
        "final_before": time_text(one.final_before_us),
        "next_end": time_text(one.next_end_us),
        "needed_log_time": time_text(one.needed_us),
        "waiting_for": one.waiting_for.value,
        "partition": one.partition,
        "frontier": time_text(one.frontier_us),
        "missing_s": None if one.missing_us is None else one.missing_us / 1_000_000,
        "overdue_s": one.overdue_us / 1_000_000,
        "closing": time_text(seen.state.closing_us),
        "closer": seen.closer,
    }
