"""Publish many events, report each that is refused, and go on with the rest."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from metering.publisher.client import Publisher
from metering.publisher.lines import Line
from metering.publisher.refusal import EventRefused

YIELD_EVERY: Final = 200


@dataclass(frozen=True, slots=True)
class Published:
    """What became of a file's events."""

    published: int  # acknowledged by the brokers
    refused: int


async def publish_lines(
    publisher: Publisher,
    lines: AsyncIterator[Line],
    *,
    send: Callable[[bytes], Awaitable[object]] | None = None,
    on_refused: Callable[[int, EventRefused], None],
    on_progress: Callable[[int], None],
) -> Published:
    """Publish every line; stop early when `on_refused` raises.

    Args:
        publisher: a connected one.
        lines: numbered events.
        send: what is done with each; by default it is published.
        on_refused: told of each line that is not sent, and why.
        on_progress: told how many bytes have been read since the last time.

    Raises:
        DeliveryFailed: the brokers did not acknowledge all that was sent.
    """
    before = publisher.acknowledged
    send = send or publisher.publish
    refused = 0
    size_bytes = 0
    try:
        async for line in lines:
            size_bytes += line.size_bytes
            try:
                if isinstance(line.event, EventRefused):
                    raise line.event
                await send(line.event)
            except EventRefused as refusal:
                refused += 1
                on_refused(line.number, refusal)
            if line.number % YIELD_EVERY == 0:
                on_progress(size_bytes)
                size_bytes = 0
                await asyncio.sleep(0)  # a send into a buffer with room does not give way by itself
    finally:
        await publisher.flush()
        on_progress(size_bytes)
    return Published(publisher.acknowledged - before, refused)
