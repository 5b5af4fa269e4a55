"""The kinds of panels that the dashboards have; each says in a description what to make of it."""

from collections.abc import Sequence
from string import ascii_uppercase
from typing import Final, NamedTuple, TypeVar

from grafana_foundation_sdk.builders import stat, table, timeseries
from grafana_foundation_sdk.builders.common import ReduceDataOptions, StackingConfig, VizLegendOptions
from grafana_foundation_sdk.builders.dashboard import Dashboard, Row, ThresholdsConfig
from grafana_foundation_sdk.models.common import (
    BigValueColorMode,
    BigValueGraphMode,
    BigValueTextMode,
    LegendDisplayMode,
    LegendPlacement,
    StackingMode,
)
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DataSourceRef,
    DynamicConfigValue,
    Threshold,
    ThresholdsMode,
)

from deploy.observability.dashboards.queries import Query

Panel = stat.Panel | timeseries.Panel | table.Panel
AnyPanel = TypeVar("AnyPanel", stat.Panel, timeseries.Panel, table.Panel)

STATE_COLOURS: Final = {
    "ok": "green",
    "warning": "yellow",
    "no_owner": "orange",
    "stalled": "orange",
    "rewound": "red",
    "stopped": "red",
}


class Limit(NamedTuple):
    """From this value on, this colour."""

    value: float
    colour: str


ANY_IS_BAD: Final = (Limit(1, "red"),)
ANY_IS_ODD: Final = (Limit(1, "orange"),)


def number(
    title: str,
    description: str,
    query: Query,
    *,
    unit: str = "short",
    base: str = "green",
    limits: Sequence[Limit] = (),
    columns: int = 4,
) -> stat.Panel:
    """One number, or one for each series, coloured by the limits, and by `base` below them all."""
    panel = stat.Panel().title(title).description(description).unit(unit).span(columns).height(4)
    panel = panel.graph_mode(BigValueGraphMode.NONE).color_mode(BigValueColorMode.BACKGROUND)
    panel = panel.reduce_options(ReduceDataOptions().calcs(["lastNotNull"])).no_value("not known")
    steps = [Threshold(None, base), *(Threshold(one.value, one.colour) for one in limits)]
    panel = panel.thresholds(ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps))
    return _asking(panel, (query,))


def state(title: str, description: str, query: Query, *, columns: int = 4) -> stat.Panel:
    """The names of the series that there are, each a state, in the state's colour."""
    panel = number(title, description, query, columns=columns).text_mode(BigValueTextMode.NAME)
    for name, colour in STATE_COLOURS.items():
        panel = panel.override_by_name(
            name, [DynamicConfigValue("color", {"mode": "fixed", "fixedColor": colour})]
        )
    return panel


def lines(
    title: str,
    description: str,
    *queries: Query,
    unit: str = "short",
    stacked: bool = False,
    columns: int = 12,
) -> timeseries.Panel:
    """A line over time for each series, or one on top of the other."""
    panel = timeseries.Panel().title(title).description(description).unit(unit).span(columns).height(8)
    legend = VizLegendOptions().show_legend(show_legend=True).display_mode(LegendDisplayMode.LIST)
    panel = panel.legend(legend.placement(LegendPlacement.BOTTOM).calcs([]))
    panel = panel.fill_opacity(30 if stacked else 5)
    if stacked:
        panel = panel.stacking(StackingConfig().mode(StackingMode.NORMAL).group("A"))
    return _asking(panel, queries)


def listing(title: str, description: str, query: Query, *, columns: int = 12) -> table.Panel:
    """A table with a row for each series, or for each row of a statement."""
    return _asking(table.Panel().title(title).description(description).span(columns).height(8), (query,))


def dashboard(name: str, title: str, description: str, *, since: str, refresh: str) -> Dashboard:
    """A dashboard without panels; at first it shows the time from `since` on."""
    begun = Dashboard(f"Metering: {title}").uid(f"metering-{name}").description(description)
    begun = begun.tags(["metering"]).timezone("utc").time(since, "now").refresh(refresh).readonly()
    return begun.tooltip(DashboardCursorSync.CROSSHAIR)


def add(board: Dashboard, source: DataSourceRef, row: str, *panels: Panel) -> None:
    """Put a row of panels below what is there."""
    board.with_row(Row(row))
    for panel in panels:
        board.with_panel(panel.datasource(source))


def _asking(panel: AnyPanel, queries: Sequence[Query]) -> AnyPanel:
    for letter, query in zip(ascii_uppercase, queries, strict=False):
        panel = panel.with_target(query.ref_id(letter))
    return panel
