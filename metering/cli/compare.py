"""`metering compare`: what a replay came to, beside what was counted."""

import asyncio
from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any, Final

from cyclopts import Parameter

from aggregator.comparison import Amounts, Comparison, Difference
from aggregator.store import comparison
from aggregator.store.connection import instant_us
from metering.cli.exits import Exit
from metering.cli.output import Json, print_json, print_table, say, time_text
from metering.replay.sides import both_sides
from metering.settings import Settings, load_settings
from schemas.instant import format_time
from schemas.number import plain_text

_TIMES: Final = frozenset(
    {
        *("window_start", "value_time", "point_time", "event_time", "log_time", "frontier"),
        *("final_before", "period_start", "period_end", "cut", "effective_from", "known_from"),
    }
)


def compare(
    schema: Annotated[str, Parameter(help="The shadow schema that `metering replay` has made.")],
    *,
    as_json: Json = False,
) -> Exit:
    """Show every difference between what was counted and a replay of it; exit code 1 if there is one.

    Compared is what the replay could know: what has been counted since then is left out. A replay of a range
    is compared from its start on.
    """
    found = asyncio.run(_compare(load_settings(), schema))
    if as_json:
        print_json(_document(found))
    else:
        _show(found)
    return Exit.OK if found.identical else Exit.PROBLEMS


async def _compare(settings: Settings, schema: str) -> Comparison:
    async with both_sides(settings, schema) as (counted, replayed, shadow):
        return await comparison.compare(counted, replayed, shadow)


def _show(found: Comparison) -> None:
    print_table(
        "Compared", ["What", "Rows", "Different"], ((a, n, found.different[a]) for a, n in found.rows.items())
    )
    for title, column, amounts in (("Units", "Meter", found.units), ("Money", "Currency", found.money)):
        changed = {name: both for name, both in amounts.items() if both.difference}
        if changed:
            print_table(
                title,
                [column, "Counted", "Replayed", "Difference"],
                ((name, both.counted, both.replayed, both.difference) for name, both in changed.items()),
            )
    if found.differences:
        print_table(
            "Differences (the first of each kind)",
            ["What", "Of", "Counted", "Replayed"],
            (_row(one) for one in found.differences),
        )
    if found.since_us is not None:
        say(f"Of a range: windows, and periods that begin, at {format_time(found.since_us)} or later.")
    if found.cut_periods:
        say(f"{found.cut_periods:,} rated periods are left out: the start of the range cuts them.")
    if found.unrated_totals:
        say(f"{found.unrated_totals:,} rated totals are left out: they are not rated yet.")
    if found.grown_windows:
        say(f"{found.grown_windows:,} windows are left out: more has been counted into them since.")
    say("Identical." if found.identical else "There are differences.")


def _row(one: Difference) -> tuple[str, ...]:
    sides = one.counted, one.replayed
    columns = [
        name
        for name in (one.counted or one.replayed or {})
        if len({repr((s or {}).get(name)) for s in sides}) > 1
    ]
    texts = ["nothing" if side is None else _words({name: side[name] for name in columns}) for side in sides]
    return one.aspect, _words(one.key), *texts


def _words(columns: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in _plain(columns).items())


def _document(found: Comparison) -> dict[str, Any]:
    return {
        "identical": found.identical,
        "since": None if found.since_us is None else format_time(found.since_us),
        "compared": found.rows,
        "different": found.different,
        "left_out": {
            "windows": found.grown_windows,
            "rated_totals": found.unrated_totals,
            "cut_periods": found.cut_periods,
        },
        "units": _amounts(found.units),
        "money": _amounts(found.money),
        "differences": [
            {
                "what": one.aspect,
                "of": _plain(one.key),
                "counted": None if one.counted is None else _plain(one.counted),
                "replayed": None if one.replayed is None else _plain(one.replayed),
            }
            for one in found.differences
        ],
    }


def _amounts(amounts: Mapping[str, Amounts]) -> dict[str, dict[str, str]]:
    return {
        name: {
            "counted": plain_text(both.counted),
            "replayed": plain_text(both.replayed),
            "difference": plain_text(both.difference),
        }
        for name, both in sorted(amounts.items())
    }


def _plain(columns: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _plain_value(name, value) for name, value in columns.items()}


def _plain_value(name: str, value: object) -> object:
    if name in _TIMES and isinstance(value, int):
        return time_text(instant_us(value))
    if isinstance(value, bytes):
        return value.hex()
    return plain_text(value) if isinstance(value, Decimal) else value
