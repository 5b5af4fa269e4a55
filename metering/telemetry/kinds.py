"""The kinds of instrument, and how each is named by OpenTelemetry and by Prometheus."""

import re
from dataclasses import dataclass, field
from typing import Final, Literal

UNLISTED: Final = "unlisted"
"""What a label says when the code gave a value that its label does not list: a bug, but a bounded one."""

Process = Literal["worker", "closer", "rater", "api", "publisher", "observer", "auditor"]
"""What a process is there for."""

_PROMETHEUS_UNITS: Final = {"s": "_seconds", "By": "_bytes"}


@dataclass(frozen=True, slots=True)
class Label:
    """A dimension of an instrument; `values` are all it may have, or the pattern they have."""

    name: str
    meaning: str
    values: tuple[str, ...] | re.Pattern[str]

    def bounded(self, value: str) -> str:
        """Give the value back if it is one of the label's, else `unlisted`."""
        if isinstance(self.values, re.Pattern):
            return value if self.values.fullmatch(value) else UNLISTED
        return value if value in self.values else UNLISTED


@dataclass(frozen=True, slots=True)
class Instrument:
    """What all kinds of instrument have in common; `of` are the processes that measure it."""

    name: str
    unit: str
    meaning: str
    labels: tuple[Label, ...] = ()
    of: tuple[Process, ...] = field(kw_only=True)

    @property
    def prometheus_name(self) -> str:
        """As Prometheus shows it, with the unit; a histogram has `_bucket`, `_sum` and `_count` beside."""
        suffix = "_total" if isinstance(self, Counter) else ""
        return self.name.replace(".", "_") + _PROMETHEUS_UNITS.get(self.unit, "") + suffix


@dataclass(frozen=True, slots=True)
class Counter(Instrument):
    """A number that only grows, from 0 when the process starts.

    It is reported as 0 before it has grown, for every value of its labels, if these are listed: the first
    growth of a number that was not there before is none to who asks for its rate.
    """


@dataclass(frozen=True, slots=True)
class Gauge(Instrument):
    """The latest value, until it is forgotten."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Histogram(Instrument):
    """A distribution; `bounds` are the upper bounds of its buckets, in its unit."""

    bounds: tuple[float, ...]
