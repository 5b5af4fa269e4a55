"""The work that the speed figures speak of: its events, its meters, and the totals they must come to.

300-byte CloudEvents of 5,000 active subjects with 3 models, one `sum` by model and one `count`.
"""

from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from schemas.binding import CONTENT_TYPE, STRUCTURED_MEDIA_TYPE
from schemas.instant import format_time

SUBJECTS: Final = tuple(f"customer-{number:05d}" for number in range(5_000))
MODELS: Final = ("gpt-large", "gpt-medium", "gpt-small")
MAX_TOKENS: Final = 4_096
SPREAD_US: Final = 2_000_000
"""Events are up to this much older than the moment they are written."""

HEADERS: Final = ((CONTENT_TYPE, STRUCTURED_MEDIA_TYPE.encode()),)
TOKENS_METER: Final = "tokens"
REQUESTS_METER: Final = "requests"
CATALOG: Final = """\
meters:
  - name: tokens
    unit: tokens
    event_type: llm.completion
    aggregation: sum
    value: tokens
    group_by: [model]
    window: 1h
    grace: 1h
  - name: requests
    event_type: llm.completion
    aggregation: count
    window: 1h
    grace: 1h
"""

_EVENT: Final = (
    '{"specversion":"1.0","id":"%s","source":"/llm/gateway/eu-west-1","type":"llm.completion",'
    '"subject":"%s","time":"%s","datacontenttype":"application/json","data":{"model":"%s","tokens":%d,'
    '"input_tokens":%d,"stream":true}}'
)

Numbers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Totals:
    """What events come to: tokens and requests, a row per subject and a column per model."""

    tokens: Numbers
    requests: Numbers

    @classmethod
    def none(cls) -> Self:
        """Of no events."""
        shape = len(SUBJECTS), len(MODELS)
        return cls(np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64))

    @property
    def events(self) -> int:
        """How many there were."""
        return int(self.requests.sum())

    def plus(self, other: "Totals") -> "Totals":
        """Those of both."""
        return Totals(self.tokens + other.tokens, self.requests + other.requests)

    def tokens_by_series(self) -> dict[tuple[str, str], int]:
        """Tokens by subject and model."""
        return {
            (SUBJECTS[subject], MODELS[model]): int(self.tokens[subject, model])
            for subject, model in np.argwhere(self.requests).tolist()
        }

    def requests_by_subject(self) -> dict[str, int]:
        """Requests by subject."""
        requests = self.requests.sum(axis=1)
        return {SUBJECTS[subject]: int(requests[subject]) for subject in np.flatnonzero(requests).tolist()}


@dataclass(frozen=True, slots=True)
class Events:
    """Some of the events: the keys and values of their records, and what they come to."""

    keys: list[bytes]
    values: list[bytes]
    totals: Totals


class Workload:
    """Makes events without end, the same for the same seed but for their time."""

    def __init__(self, seed: int | tuple[int, ...]) -> None:
        self._random = np.random.default_rng(seed)

    def events(self, count: int, now_us: int) -> Events:
        """`count` events of the last moments before `now_us`, with ids never used before."""
        random = self._random
        subjects = random.integers(len(SUBJECTS), size=count)
        models = random.integers(len(MODELS), size=count)
        tokens = random.integers(1, MAX_TOKENS, size=count)
        ids = random.bytes(16 * count).hex()
        # Texts of times are slow to make: a thousand different ones do.
        times = [format_time(now_us - int(age)) for age in random.integers(SPREAD_US, size=1_000)]
        rows = zip(subjects.tolist(), models.tolist(), tokens.tolist(), strict=True)
        values = [
            _EVENT
            % (
                ids[32 * row : 32 * row + 32],
                SUBJECTS[subject],
                times[row % 1_000],
                MODELS[model],
                used,
                used // 3,
            )
            for row, (subject, model, used) in enumerate(rows)
        ]
        return Events(
            keys=[SUBJECTS[subject].encode() for subject in subjects.tolist()],
            values=[value.encode() for value in values],
            totals=_totals(subjects, models, tokens),
        )


def _totals(subjects: Numbers, models: Numbers, tokens: Numbers) -> Totals:
    shape = len(SUBJECTS), len(MODELS)
    series = subjects * len(MODELS) + models
    size = len(SUBJECTS) * len(MODELS)
    sums = np.zeros(size, dtype=np.int64)
    np.add.at(sums, series, tokens)
    return Totals(sums.reshape(shape), np.bincount(series, minlength=size).reshape(shape))
