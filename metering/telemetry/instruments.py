"""Record measurements, by instruments of the catalogue only.

A call costs some microseconds: record per batch, never per record.
"""

from collections.abc import Iterable, Mapping
from functools import partial
from itertools import product

from opentelemetry.metrics import CallbackOptions, Meter, Observation

from metering.telemetry.catalogue import CATALOGUE
from metering.telemetry.kinds import Counter, Gauge, Histogram, Instrument, Process

Labels = tuple[tuple[str, str], ...]


class Instruments:
    """Every instrument of the catalogue, made once on an OpenTelemetry meter.

    A gauge keeps its value until `forget`, so that a partition given away is not reported for ever. The
    counters of the process it is made for begin with 0, for all that their labels list.
    """

    def __init__(self, meter: Meter, process: Process | None = None) -> None:
        self._counters = {
            one.name: meter.create_counter(one.name, one.unit, one.meaning)
            for one in CATALOGUE
            if isinstance(one, Counter)
        }
        self._histograms = {
            one.name: meter.create_histogram(
                one.name, one.unit, one.meaning, explicit_bucket_boundaries_advisory=one.bounds
            )
            for one in CATALOGUE
            if isinstance(one, Histogram)
        }
        self._gauges: dict[str, dict[Labels, float]] = {}
        for one in CATALOGUE:
            if isinstance(one, Gauge):
                self._gauges[one.name] = {}
                meter.create_observable_gauge(
                    one.name, [partial(_observe, self._gauges[one.name])], one.unit, one.meaning
                )
        for one in CATALOGUE:
            if isinstance(one, Counter) and process in one.of:
                for labels in _listed(one):
                    self._counters[one.name].add(0, dict(labels))

    def add(self, counter: Counter, amount: int = 1, **labels: str | int) -> None:
        """Add to a counter."""
        if amount:
            self._counters[counter.name].add(amount, dict(_labels(counter, labels)))

    def begin(self, counter: Counter, **labels: str | int) -> None:
        """Show a counter with labels that are not listed before there is anything to count."""
        self._counters[counter.name].add(0, dict(_labels(counter, labels)))

    def record(self, histogram: Histogram, value: float, **labels: str | int) -> None:
        """Record one value of a distribution, in the instrument's unit."""
        self._histograms[histogram.name].record(value, dict(_labels(histogram, labels)))

    def set(self, gauge: Gauge, value: float, **labels: str | int) -> None:
        """Set the latest value."""
        self._gauges[gauge.name][_labels(gauge, labels)] = value

    def replace(self, gauge: Gauge, values: Iterable[tuple[Mapping[str, str | int], float]]) -> None:
        """Report these values of a gauge from now on, and no others; of none, it is not reported at all."""
        new = {_labels(gauge, labels): value for labels, value in values}
        current = self._gauges[gauge.name]
        current.update(new)
        for key in current.keys() - new.keys():
            del current[key]

    def forget(self, **labels: str | int) -> None:
        """Stop reporting every gauge value that has these labels, such as `partition=3`."""
        gone = {(name, str(value)) for name, value in labels.items()}
        for values in self._gauges.values():
            for key in [key for key in values if gone <= set(key)]:
                del values[key]


def _labels(instrument: Instrument, labels: Mapping[str, str | int]) -> Labels:
    if len(labels) != len(instrument.labels):
        raise TypeError(f"{instrument.name} has labels {[label.name for label in instrument.labels]}")
    return tuple((label.name, label.bounded(str(labels[label.name]))) for label in instrument.labels)


def _listed(counter: Counter) -> Iterable[Labels]:
    """Every combination of values that the labels list; none if one has no list."""
    values = [label.values if isinstance(label.values, tuple) else () for label in counter.labels]
    names = [label.name for label in counter.labels]
    return (tuple(zip(names, chosen, strict=True)) for chosen in product(*values))


def _observe(values: dict[Labels, float], _options: CallbackOptions) -> Iterable[Observation]:
    # Read by the exporter's thread: a copy, made in one step of the interpreter.
    return [Observation(value, dict(labels)) for labels, value in list(values.items())]
