"""What one subject of a customer used, by window: the part of a customer's page that charts show."""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Final, NamedTuple

from aggregator.store import reading
from aggregator.store.connection import Connection
from aggregator.store.reading import Stretch, UsageQuery, Visible
from aggregator.store.totals import Total
from metering.api.console.chart import Chart, chart
from metering.api.usage import final_before_us_of, meter_named
from schemas.catalog import Meter

WINDOWS: Final = 48
"""Windows in a chart: two days of hours."""

_MOST_ROWS: Final = 10 * WINDOWS
_ADDED: Final = ("sum", "count")


class MeterUsage(NamedTuple):
    """One meter's usage in a stretch of time."""

    meter: str
    unit: str | None
    from_us: int
    to_us: int
    window_us: int
    rows: Sequence[tuple[Total, bool]]  # each with whether it is final
    chart: Chart
    greatest: Decimal | None


async def meter_usage(
    connection: Connection, meter: str, subject: str, visible: Visible, until_us: int
) -> MeterUsage:
    """The last windows that begin before a time, of a subject as far as it is visible."""
    versions = await meter_named(connection, meter)
    newest = versions.versions[max(versions.versions)]
    window_us = newest.window_us
    to_us = -(-until_us // window_us) * window_us
    from_us = to_us - WINDOWS * window_us
    query = UsageQuery(
        meter=meter,
        meter_version_ids=list(versions.versions),
        window_us=max(version.window_us for version in versions.versions.values()),
        subject=subject,
        visible=visible,
        group_by=[],
        span=Stretch(from_us, to_us),
        by_window=True,
    )
    final_before_us = await final_before_us_of(connection, meter)
    page = await reading.usage(connection, query, None, _MOST_ROWS)
    rows = [(row, final_before_us is not None and row.end_us <= final_before_us) for row in page.rows]
    values = {
        (start_us - from_us) // window_us: (value, is_final)
        for start_us, value, is_final in _drawn(rows, newest)
    }
    return MeterUsage(
        meter,
        newest.unit,
        from_us,
        to_us,
        window_us,
        rows,
        chart(values, WINDOWS),
        max((value for value, _ in values.values()), default=None),
    )


def _drawn(rows: Iterable[tuple[Total, bool]], meter: Meter) -> list[tuple[int, Decimal, bool]]:
    """One value a window; what a cardinality limit turned away is a row of its own."""
    found: dict[int, tuple[Decimal, bool]] = {}
    for row, is_final in rows:
        if row.value is None:
            continue
        before = found.get(row.start_us)
        if before is None:
            found[row.start_us] = row.value, is_final
        elif meter.aggregation in _ADDED:
            found[row.start_us] = before[0] + row.value, is_final
        else:
            found[row.start_us] = max(before[0], row.value), is_final
    return [(start_us, value, is_final) for start_us, (value, is_final) in found.items()]
