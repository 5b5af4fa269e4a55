"""What one customer used and pays. No metric names a customer, so Postgres is asked, as `billing_reader`."""

from grafana_foundation_sdk.builders.dashboard import Dashboard, QueryVariable
from grafana_foundation_sdk.models.dashboard import VariableRefresh, VariableSort

from deploy.observability.dashboards.panels import Panel, add, dashboard, lines, listing
from deploy.observability.dashboards.queries import BILLING, Sql, statement


def customer() -> Dashboard:
    """The dashboard."""
    board = dashboard(
        "customer",
        "a customer",
        "What one customer used, what it came to, and what changed afterwards.",
        since="now-30d",
        refresh="5m",
    )
    chosen = QueryVariable("customer").label("Customer").datasource(BILLING).query(statement("customers"))
    chosen = chosen.refresh(VariableRefresh.ON_TIME_RANGE_CHANGED).sort(VariableSort.DISABLED)
    board = board.with_variable(chosen.multi(multi=False).include_all(include_all=False))
    add(board, BILLING, "Money", *_money())
    add(board, BILLING, "Usage", *_usage())
    return board


def _money() -> tuple[Panel, ...]:
    return (
        lines(
            "Amounts of periods",
            "The newest version of each period that is rated, at its beginning; to the cent in the table.",
            Sql("amounts", of_time=True),
        ),
        listing(
            "Versions",
            "A period that has several was rated anew when adjustments came; `difference` is what to book.",
            Sql("versions"),
        ),
        listing(
            "Lines of the newest versions",
            "What each amount is made of; `metering explain` goes on from here to the log.",
            Sql("lines"),
        ),
        listing(
            "Thresholds crossed",
            "By usage within a period, told before the period was rated.",
            Sql("thresholds"),
        ),
    )


def _usage() -> tuple[Panel, ...]:
    return (
        lines(
            "Events by meter",
            "In each window, adjustments included, of the subjects that the customer pays or ever paid for.",
            Sql("events", of_time=True),
        ),
        lines(
            "Usage by meter",
            "Of meters that add up: sums and counts.",
            Sql("usage", of_time=True),
        ),
        listing(
            "Adjustments",
            "What stands beside windows: usage that came late, was withdrawn or was corrected.",
            Sql("adjustments"),
        ),
        listing(
            "Usage that nobody pays for",
            "Of the same subjects: outside of the subscription's time, or without a charge or a price.",
            Sql("unrated"),
        ),
    )
