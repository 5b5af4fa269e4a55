"""Render the catalogue as a page: `python -m metering.telemetry.reference > docs/metrics.md`."""

import re
import sys

from metering.telemetry.catalogue import CATALOGUE, Label

HEADER = """\
# Metrics

Made from `metering/telemetry/catalogue.py` by `python -m metering.telemetry.reference > docs/metrics.md`;
a test compares them. Metrics and traces go to the OTLP/HTTP collector at `METERING_OTLP_ENDPOINT`, with the
resource attributes `service.name=metering`, `service.version` and `service.instance.id`; without an endpoint
nothing is sent. A collector that is slow or away never slows counting. A label value `unlisted` is a bug:
please report it.

| Metric | Kind | Unit | Labels | Meaning |
|---|---|---|---|---|
"""


def render() -> str:
    """Write the whole page."""
    rows = [
        f"| `{one.name}` | {type(one).__name__.lower()} | `{one.unit}` "
        f"| {', '.join(f'`{label.name}`' for label in one.labels)} | {one.meaning} |"
        for one in CATALOGUE
    ]
    labels = {f"{label.name}: {label.meaning}": label for one in CATALOGUE for label in one.labels}
    meanings = [f"- `{label.name}`: {label.meaning}; {_values(label)}" for _, label in sorted(labels.items())]
    return HEADER + "\n".join(rows) + "\n\n## Labels\n\n" + "\n".join(meanings) + "\n"


def _values(label: Label) -> str:
    if isinstance(label.values, re.Pattern):
        return f"matches `{label.values.pattern}`."
    return ", ".join(f"`{value}`" for value in label.values) + "."


if __name__ == "__main__":
    sys.stdout.write(render())
