"""The types of this folder's fixtures."""

from collections.abc import Awaitable, Callable

from integration.worker.world import World

from metering.settings import Settings

SettingsFactory = Callable[..., Settings]
"""`settings_for(topic, flush_records=10)`."""

ProduceUndecodable = Callable[[str, int], Awaitable[None]]
"""`await produce_undecodable(topic, partition)`."""

NewWorld = Callable[..., Awaitable[World]]
"""`await new_world(partitions=3, clock="broker", flush_records=10)`."""
