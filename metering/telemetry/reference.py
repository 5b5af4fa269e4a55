"""Render the catalogue as a page: `python -m metering.telemetry.reference > docs/metrics.md`."""

import re
import sys

from metering.telemetry.catalogue import CATALOGUE
from metering.telemetry.kinds import Counter, Gauge, Histogram, Instrument, Label
from metering.telemetry.prometheus import PROCESS_METRICS

HEADER = """\
# Metrics

Made from `metering/telemetry/catalogue/` by `python -m metering.telemetry.reference > docs/metrics.md`;
a test compares them.

- **Pulled.** With `METERING_ADMIN_PORT` set, each process answers `/metrics` beside `/healthz` and `/readyz`
  on that port, in Prometheus' text format or OpenMetrics, whichever is asked for.
- **Pushed.** With `METERING_OTLP_ENDPOINT` set, metrics, traces and log lines go to that OTLP/HTTP collector.
  One that is slow or away never slows counting: what it does not take in time is dropped.

Without either, nothing is measured. Resource attributes (`target_info` for Prometheus):
`service.namespace=metering`, `service.name=metering-<process>`, `service.version` and `service.instance.id`.
A label value `unlisted` is a bug: please report it.

Counters are there as 0 from the start, for every value that their labels list. A histogram is shown to
Prometheus as `…_bucket`, `…_sum` and `…_count`. What is pushed has exemplars: the trace of a batch, a rating
or a request stands beside the durations and latencies that were measured in it. What is pulled has none,
since OpenTelemetry's exporter for Prometheus leaves them out.

"""
TABLE = "| Prometheus | OpenTelemetry | Unit | Labels | Of | Meaning |\n|---|---|---|---|---|---|\n"


def render() -> str:
    """Write the whole page."""
    labels = {f"{label.name}: {label.meaning}": label for one in CATALOGUE for label in one.labels}
    meanings = [f"- `{label.name}`: {label.meaning}; {_values(label)}" for _, label in sorted(labels.items())]
    sections = [_table(heading, kind) for heading, kind in _KINDS.items()]
    process = ", ".join(f"`{name}`" for name in PROCESS_METRICS)
    return (
        HEADER
        + "\n".join(sections)
        + "\n## Labels\n\n"
        + "\n".join(meanings)
        + f"\n\n## Of the process itself\n\nFor Prometheus alone, by its client library: {process}.\n"
    )


_KINDS: dict[str, type[Instrument]] = {"Counters": Counter, "Gauges": Gauge, "Histograms": Histogram}


def _table(heading: str, kind: type[Instrument]) -> str:
    rows = [
        f"| `{one.prometheus_name}` | `{one.name}` | `{one.unit}` "
        f"| {', '.join(f'`{label.name}`' for label in one.labels)} | {', '.join(one.of)} | {one.meaning} |\n"
        for one in CATALOGUE
        if isinstance(one, kind)
    ]
    return f"## {heading}\n\n{TABLE}{''.join(rows)}"


def _values(label: Label) -> str:
    if isinstance(label.values, re.Pattern):
        return f"matches `{label.values.pattern}`."
    return ", ".join(f"`{value}`" for value in label.values) + "."


if __name__ == "__main__":
    sys.stdout.write(render())
