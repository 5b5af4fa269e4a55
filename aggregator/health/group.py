"""How all partitions do together: as the worst of them, and which those are."""

from collections.abc import Mapping
from typing import NamedTuple

from aggregator.health.partition import State


class GroupState(NamedTuple):
    """The worst state, and the partitions that are in it."""

    state: State
    partitions: tuple[int, ...]

    @property
    def sentence(self) -> str:
        """Say it to a person."""
        if self.state is State.OK:
            return "All partitions are ok."
        several = len(self.partitions) > 1
        named = ", ".join(map(str, self.partitions))
        return f"Partition{'s' if several else ''} {named} {'are' if several else 'is'} {_WORDS[self.state]}."


_WORDS = {
    State.WARNING: "counted, but falling behind",
    State.NO_OWNER: "without an owner: no worker counts there",
    State.STALLED: "stalled: there are records to count, and none is counted",
    State.REWOUND: "rewound: the log or what is counted of it went back",
    State.STOPPED: "stopped: a person has to decide",
}


def group_state(states: Mapping[int, State | None]) -> GroupState | None:
    """The worst of some partitions' states.

    Returns:
        None if nothing bad is known, and of some partition nothing at all.
    """
    known = {partition: state for partition, state in states.items() if state is not None}
    worst = max(known.values(), key=lambda state: state.badness, default=None)
    if worst is None or (worst is State.OK and len(known) < len(states)):
        return None
    return GroupState(worst, tuple(sorted(partition for partition, state in known.items() if state is worst)))
