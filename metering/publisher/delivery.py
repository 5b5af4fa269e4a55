"""What becomes of an event that was handed to the client: acknowledged, or reported as failed."""

from asyncio import Future, shield
from collections.abc import Generator, Sequence
from typing import Any, NamedTuple

from aiokafka.structs import RecordMetadata

from metering.errors import UnreachableError


class Delivered(NamedTuple):
    """Where the log has the event, on as many replicas as the topic demands."""

    partition: int
    offset: int


class Failure(NamedTuple):
    """An event that the brokers did not acknowledge; it may be in the log or not."""

    source: str
    id: str
    reason: str


class DeliveryFailed(UnreachableError):  # noqa: N818 - an outcome, worded as one
    """Events were not acknowledged; `failures` names them."""

    def __init__(self, failures: Sequence[Failure]) -> None:
        first, count = failures[0], len(failures)
        super().__init__(
            "delivery_failed",
            f"{count} event{' was' if count == 1 else 's were'} not acknowledged, the first {first.id!r} of "
            f"{first.source!r} ({first.reason}): publish again with the same ids, for a copy is never "
            "counted twice.",
        )
        self.failures = tuple(failures)


class Receipt:
    """`await receipt` waits until the brokers have the event, and raises `DeliveryFailed` if they refuse it.

    While no broker can be reached the client keeps trying, until the publisher is closed.
    """

    __slots__ = ("_future", "id", "source", "told")

    def __init__(self, future: Future[RecordMetadata], source: str, id: str) -> None:  # noqa: A002 - CloudEvents'
        self._future = future
        self.source = source
        self.id = id
        self.told = False
        """Whether somebody was told that it failed."""

    def __await__(self) -> Generator[Any, None, Delivered]:
        """Wait for the acknowledgement."""
        try:
            # Who gives up waiting does not undo the sending.
            metadata = yield from shield(self._future).__await__()
        except Exception as error:
            self.told = True
            raise DeliveryFailed([self.failure(error)]) from error
        return Delivered(metadata.partition, metadata.offset)

    def give_up(self, error: Exception) -> None:
        """Fail the event if nothing is known of it yet."""
        if not self._future.done():
            self._future.set_exception(error)

    def failure(self, error: BaseException) -> Failure:
        """Name this event and what went wrong."""
        return Failure(self.source, self.id, str(error) or type(error).__name__)
