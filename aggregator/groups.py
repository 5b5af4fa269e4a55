"""Which group values a subject has used in a window, so that a cardinality limit is exact.

What a batch adds lies in an overlay until the batch is committed: a batch that has to be folded again starts
from the state before it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

GroupValues = tuple[str | None, ...]


class GroupKey(NamedTuple):
    """Where a cardinality limit counts: one meter version, subject and window."""

    meter_version_id: int
    subject: str
    window_start_us: int


class Overlay(NamedTuple):
    """Group values first seen by one batch."""

    next_offset: int
    added: Mapping[GroupKey, frozenset[GroupValues]]


@dataclass(frozen=True, slots=True)
class GroupSets:
    """Group values by key: those settled (shared, grows in place) and those of uncommitted batches.

    A key that is missing means "none yet" for a window that starts after every event counted when the state
    was opened, and "ask the store" for an older one.
    """

    settled: dict[GroupKey, frozenset[GroupValues]]
    overlays: tuple[Overlay, ...] = ()
    asked_before_us: int | None = None  # windows that start at or before this are asked for
    newest_time_us: int | None = None  # as of the last settling

    def get(self, key: GroupKey, window_us: int) -> frozenset[GroupValues] | None:
        """The values seen so far, or None if only the store knows."""
        for overlay in reversed(self.overlays):
            if key in overlay.added:
                return overlay.added[key]
        known = self.settled.get(key)
        if known is not None:
            return known
        if self.asked_before_us is not None and key.window_start_us <= self.asked_before_us:
            return None
        if self.newest_time_us is not None and key.window_start_us <= kept_after_us(
            self.newest_time_us, window_us
        ):
            return None
        return frozenset()

    def supplied(self, loaded: Mapping[GroupKey, frozenset[GroupValues]]) -> "GroupSets":
        """With what the store knew of keys that were asked for."""
        return replace(self, settled=self.settled | dict(loaded))

    def with_batch(self, next_offset: int, added: Mapping[GroupKey, frozenset[GroupValues]]) -> "GroupSets":
        """With the sets that a batch has changed, each whole."""
        if not added:
            return self
        return replace(self, overlays=(*self.overlays, Overlay(next_offset, added)))


def kept_after_us(newest_time_us: int, window_us: int) -> int:
    """Windows that start at or before this are not kept: the current one and the one before it suffice."""
    return newest_time_us - 2 * window_us


def settled_groups(
    groups: GroupSets,
    committed_offset: int,
    newest_time_us: int | None,
    windows_us: Mapping[int, int],
) -> GroupSets:
    """The sets after a commit: committed overlays become settled, old windows are let go.

    Args:
        groups: of the newest state, which may have uncommitted batches.
        committed_offset: overlays up to here are committed.
        newest_time_us: greatest event time counted up to `committed_offset`.
        windows_us: window length by meter version.
    """
    settled = dict(groups.settled)
    for overlay in groups.overlays:
        if overlay.next_offset <= committed_offset:
            settled.update(overlay.added)
    if newest_time_us is not None:
        settled = {
            key: values
            for key, values in settled.items()
            if key.window_start_us > kept_after_us(newest_time_us, windows_us[key.meter_version_id])
        }
    open_overlays = tuple(o for o in groups.overlays if o.next_offset > committed_offset)
    return GroupSets(settled, open_overlays, groups.asked_before_us, newest_time_us)
