"""The types of this folder's fixtures."""

from collections.abc import Awaitable, Callable, Sequence

from integration.worker.world import World

from metering.settings import Settings

SettingsFactory = Callable[..., Settings]
"""`settings_for(topic, flush_records=10)`."""

ProduceUndecodable = Callable[[str, int], Awaitable[None]]
"""`await produce_undecodable(topic, partition)`."""

RawRecord = tuple[bytes, Sequence[tuple[bytes, bytes]]]
"""A value, and headers."""

ProduceRaw = Callable[[str, int, Sequence[RawRecord]], Awaitable[None]]
"""`await produce_raw(topic, partition, [(b"{}", [(b"n\\xfcme", b"value")])])`."""

NewWorld = Callable[..., Awaitable[World]]
"""`await new_world(partitions=3, clock="broker", flush_records=10)`."""
