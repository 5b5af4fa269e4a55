"""The types of this folder's fixtures."""

from collections.abc import Awaitable, Callable

from metering.settings import Settings

SettingsFactory = Callable[..., Settings]
"""`settings_for(topic, flush_records=10)`."""

ProduceUndecodable = Callable[[str, int], Awaitable[None]]
"""`await produce_undecodable(topic, partition)`."""
