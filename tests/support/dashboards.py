"""What the dashboards that are checked in ask, as Grafana would ask it."""

import json
import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from support.prometheus import SHIPPED

GENERATED: Final = SHIPPED / "dashboards" / "generated"


class Query(NamedTuple):
    """One query of one panel."""

    dashboard: str
    panel: str
    letter: str
    text: str

    @property
    def place(self) -> str:
        """How a test names it."""
        return f"{self.panel}/{self.letter}"


def dashboards() -> dict[str, Any]:
    """Every dashboard by its uid."""
    read = [json.loads(path.read_text()) for path in sorted(GENERATED.glob("*.json"))]
    return {one["uid"]: one for one in read}


def panels(dashboard: Any) -> list[Any]:
    """Its panels without the rows between them."""
    return [one for one in dashboard["panels"] if one["type"] != "row"]


def prometheus_queries() -> list[Query]:
    return list(_queries("prometheus", "expr"))


def postgres_queries() -> list[Query]:
    return list(_queries("grafana-postgresql-datasource", "rawSql"))


def as_promql(text: str) -> str:
    """Fill in Grafana's variables, as for an hour, and rates over five minutes."""
    return text.replace("$__rate_interval", "5m").replace("$__range", "1h")


def as_sql(text: str, customer: str) -> str:
    """Fill in Grafana's variables and macros, for the month of November 2023."""
    filled = re.sub(
        r"\$__timeFilter\(([a-z._]+)\)", r"\1 BETWEEN '2023-11-01T00:00:00Z' AND '2023-11-30T00:00:00Z'", text
    )
    return filled.replace("${customer:sqlstring}", "'" + customer.replace("'", "''") + "'")


def _queries(kind: str, key: str) -> Iterator[Query]:
    for uid, dashboard in dashboards().items():
        for panel in panels(dashboard):
            for target in panel["targets"]:
                if target["datasource"]["type"] == kind:
                    yield Query(uid, panel["title"], target["refId"], target[key])
