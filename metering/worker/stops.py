"""Why counting stops: the codes are `schemas.codes`, the consequences are here.

A fault of one partition stops that partition and leaves the others at work. A fault of the topic, or of the
last partition this process has, ends the process: going on would count wrongly, and a person has to decide.
"""

from typing import Final, NamedTuple

from aggregator.store.errors import Fenced
from metering.errors import StoppedError
from schemas.codes import SENTENCES, Code

TOPIC_CODES: Final = frozenset(
    {Code.LOG_REPLACED, Code.PARTITION_COUNT_CHANGED, Code.CREATE_TIME_TOPIC, Code.TOPIC_MISMATCH}
)
"""Faults that no partition can have alone."""


class Stop(NamedTuple):
    """What stopped, and why: `seen` are the facts, in words, that the code was given for."""

    code: Code
    partition: int
    offset: int
    seen: str


class TopicStoppedError(StoppedError):
    """No partition can be counted, whoever has it: `seen` are the facts, in words."""

    def __init__(self, code: Code, seen: str) -> None:
        super().__init__(code, f"{seen}. {SENTENCES[code]}")
        self.seen = seen


def stopped_error(stop: Stop) -> StoppedError:
    """What ends the process when a partition has stopped: the code, what was seen and what to do."""
    seen = f"Partition {stop.partition}, offset {stop.offset}: {stop.seen}"
    if stop.code in TOPIC_CODES:
        return TopicStoppedError(stop.code, seen)
    return StoppedError(stop.code, f"{seen}. {SENTENCES[stop.code]}")


def first_cause(group: ExceptionGroup[Exception]) -> Exception:
    """Of what failed together, the one to act on: a stop, else whatever is no fence, else the fence."""
    leaves: list[Exception] = []
    inside: list[Exception] = [group]
    while inside:
        error = inside.pop()
        if isinstance(error, ExceptionGroup):
            inside.extend(error.exceptions)
        else:
            leaves.append(error)
    return min(leaves, key=_urgency)


def _urgency(error: Exception) -> int:
    return 0 if isinstance(error, StoppedError) else 2 if isinstance(error, Fenced) else 1
