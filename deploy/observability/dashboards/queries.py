"""What a panel asks: Prometheus in PromQL, or Postgres in SQL."""

from pathlib import Path
from typing import Final, Self

from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.variants import Dataquery as Model
from grafana_foundation_sdk.models.dashboard import DataSourceRef

PROMETHEUS: Final = DataSourceRef("prometheus", "metering-prometheus")
BILLING: Final = DataSourceRef("grafana-postgresql-datasource", "metering-billing")
"""The datasources of deploy/observability/grafana/datasources.yaml."""

_STATEMENTS: Final = Path(__file__).parent / "sql"


def now(expression: str, legend: str = "") -> Dataquery:
    """The value at the end of the time shown, and no other."""
    return Dataquery().datasource(PROMETHEUS).expr(expression).legend_format(legend).instant()


def over_time(expression: str, legend: str = "") -> Dataquery:
    """The values of all the time shown."""
    return Dataquery().datasource(PROMETHEUS).expr(expression).legend_format(legend).range()


class Statement(Model):
    """A statement for Postgres, as Grafana's plugin keeps it; the SDK has no type for it."""

    def __init__(self, sql: str, form: str) -> None:
        self.sql = sql
        self.form = form
        self.ref_id = ""

    def to_json(self) -> dict[str, object]:
        """Give what becomes JSON."""
        return {
            "datasource": BILLING,
            "editorMode": "code",
            "format": self.form,
            "rawQuery": True,
            "rawSql": self.sql,
            "refId": self.ref_id,
        }


class Sql(Builder[Statement]):
    """Rows of a named statement; `of_time`: its column `time` is the axis, and `metric` names the lines."""

    def __init__(self, name: str, *, of_time: bool = False) -> None:
        self._built = Statement(statement(name), "time_series" if of_time else "table")

    def ref_id(self, ref_id: str) -> Self:
        """Give it its letter among those of the panel."""
        self._built.ref_id = ref_id
        return self

    def build(self) -> Statement:
        """Give what the panel keeps."""
        return self._built


Query = Dataquery | Sql


def statement(name: str) -> str:
    """The text of `sql/<name>.sql`."""
    return (_STATEMENTS / f"{name}.sql").read_text().rstrip()
