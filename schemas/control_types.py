"""The event types that are not usage: they steer the pipeline itself."""

from typing import Final

RESERVED_PREFIX: Final = "metering.control."
"""No usage event has a type that begins so."""

TICK_TYPE: Final = RESERVED_PREFIX + "tick"
"""A tick moves the frontier of a partition that nobody writes to; it counts nothing."""

VOID_TYPE: Final = RESERVED_PREFIX + "void"
"""A void withdraws one usage event that was published by mistake."""
