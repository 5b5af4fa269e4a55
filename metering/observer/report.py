"""What one look says of some gauges: what it does not say of them is not known, and not reported any more."""

from collections import defaultdict
from collections.abc import Iterable, Mapping

from metering.telemetry import Instruments
from metering.telemetry.kinds import Gauge


class Report:
    """The values of some gauges, all of one moment."""

    def __init__(self, gauges: Iterable[Gauge]) -> None:
        """Speak of these gauges, and of no others."""
        self._gauges = tuple(gauges)
        self._values: defaultdict[Gauge, list[tuple[Mapping[str, str | int], float]]] = defaultdict(list)

    def add(self, gauge: Gauge, value: float | None, **labels: str | int) -> None:
        """Say one value; None: it is not known.

        Raises:
            ValueError: this report does not speak of that gauge.
        """
        if gauge not in self._gauges:
            raise ValueError(f"{gauge.name} is none of this report's")
        if value is not None:
            self._values[gauge].append((labels, value))

    def show(self, instruments: Instruments) -> None:
        """Let the gauges have these values, and no others."""
        for gauge in self._gauges:
            instruments.replace(gauge, self._values[gauge])
