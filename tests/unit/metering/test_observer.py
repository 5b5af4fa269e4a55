"""What the observer reports is what one look has seen, and nothing else."""

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.trace import NoOpTracerProvider

from metering.observer.logs import Counted, LogPosition
from metering.observer.partitions import retention_left_us
from metering.observer.report import Report
from metering.telemetry import catalogue, make_telemetry


def test_what_a_report_does_not_say_is_not_reported_any_more() -> None:
    reader = InMemoryMetricReader()
    instruments = make_telemetry(
        MeterProvider([reader], shutdown_on_exit=False), NoOpTracerProvider()
    ).instruments

    def seen() -> dict[tuple[str, str], float]:
        data = reader.get_metrics_data()
        return {
            (metric.name, str((point.attributes or {}).get("partition"))): getattr(point, "value", 0)
            for resource in (data.resource_metrics if data else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
            for point in metric.data.data_points
        }

    gauges = (catalogue.LAG_RECORDS, catalogue.LAG_SECONDS)
    instruments.set(catalogue.FRONTIER, 9, partition=0)  # none of this report's business
    first = Report(gauges)
    first.add(catalogue.LAG_RECORDS, 5, partition=0)
    first.add(catalogue.LAG_RECORDS, 6, partition=1)
    first.add(catalogue.LAG_SECONDS, 0.5, partition=0)
    first.show(instruments)
    frontier = ("metering.frontier.timestamp", "0")
    assert seen() == {
        ("metering.lag.records", "0"): 5,
        ("metering.lag.records", "1"): 6,
        ("metering.lag.time", "0"): 0.5,
        frontier: 9,
    }
    second = Report(gauges)
    second.add(catalogue.LAG_RECORDS, 7, partition=1)
    second.add(catalogue.LAG_SECONDS, None, partition=0)
    second.show(instruments)
    assert seen() == {("metering.lag.records", "1"): 7, frontier: 9}
    with pytest.raises(ValueError, match=r"metering\.frontier"):
        second.add(catalogue.FRONTIER, 1, partition=0)


def test_the_time_to_data_loss_counts_from_the_oldest_record_that_is_not_counted() -> None:
    assert retention_left_us(None, 100, 500) is None
    assert retention_left_us(1_000, None, 500) == 1_000
    assert retention_left_us(1_000, 100, 500) == 600
    assert retention_left_us(300, 100, 500) == -100


@pytest.mark.parametrize(
    ("position", "counted", "records", "lag_us"),
    [
        (LogPosition(0, 10, 900, None), Counted(10, 900), 0, 0),
        (LogPosition(0, 10, 900, 700), Counted(4, 600), 6, 300),
        (LogPosition(0, 10, 900, 700), Counted(0, None), 10, 200),  # nothing is counted yet
        (LogPosition(0, 10, 900, 600), Counted(9, 900), 1, 0),  # of the frontier's own millisecond
        (LogPosition(0, 3, 900, None), Counted(9, 900), 0, 0),  # it went back: see the state
        (LogPosition(0, 10, None, None), Counted(9, 900), 1, 0),  # the rest has no records
    ],
)
def test_lag_is_of_what_the_log_has_and_is_not_counted(
    position: LogPosition, counted: Counted, records: int, lag_us: int
) -> None:
    assert (position.lag_records(counted), position.lag_us(counted)) == (records, lag_us)
