"""What the store refuses, by stable codes; all else (`asyncpg.PostgresError`, `OSError`, …) is a fault."""

from collections.abc import Collection
from typing import ClassVar


class StoreError(Exception):
    """The base of all of these; the message says what to do."""

    code: ClassVar[str]


class Fenced(StoreError):  # noqa: N818 - an outcome, not a fault
    """Another owner has claimed a partition, or it stands elsewhere than this process believed."""

    code = "fenced"

    def __init__(self, partitions: Collection[int]) -> None:
        super().__init__(
            f"partitions {sorted(partitions)} are no longer ours at this offset: rejoin the group"
        )
        self.partitions = frozenset(partitions)


class CatalogMoved(StoreError):  # noqa: N818 - an outcome, not a fault
    """The catalog has another head than the one a batch was folded with; nothing was written."""

    code = "catalog_moved"

    def __init__(self, head: int) -> None:
        super().__init__(f"the catalog's head is now {head}: load it and fold again")
        self.head = head


class StoreRejected(StoreError):  # noqa: N818 - an outcome, not a fault
    """The database cannot hold a value (SQLSTATE class 22); nothing was written."""

    code = "store_rejected"

    def __init__(self, detail: str) -> None:
        super().__init__(f"a value was refused: {detail}; bisect the batch and quarantine its record")


class UnknownOutcome(StoreError):  # noqa: N818 - an outcome, not a fault
    """COMMIT was sent and not confirmed: it may have taken effect or may yet. Ask `flush.resolve`.

    Raised in place of `CancelledError` too: then `asyncio.current_task().cancelling()` still says so.
    """

    code = "unknown_outcome"

    def __init__(self) -> None:
        super().__init__("the commit was not confirmed: resolve it on another connection")


class NotApplied(StoreError):  # noqa: N818 - an outcome, not a fault
    """The schema knows no topic, or not this partition of it."""

    code = "topic_not_applied"


class NotMigrated(StoreError):  # noqa: N818 - an outcome, not a fault
    """The schema lacks migrations that this release needs."""

    code = "schema_not_migrated"


class MigrationError(StoreError):
    """A migration that was applied is not the one in this release, or is unknown to it."""

    code = "migration_changed"


class TopicMismatch(StoreError):  # noqa: N818 - an outcome, not a fault
    """The schema counts another topic, or by other rules."""

    code = "topic_mismatch"


class NotAReplay(StoreError):  # noqa: N818 - an outcome, not a fault
    """The schema is not one that `metering replay` has made and finished."""

    code = "not_a_replay"


class Overtaken(StoreError):  # noqa: N818 - an outcome, not a fault
    """Another rater has written meanwhile what this one was about to write; nothing was written."""

    code = "overtaken"

    def __init__(self) -> None:
        super().__init__("another rater was at work meanwhile: run one at a time, and start this one again")


class NoSuchSubscription(StoreError):  # noqa: N818 - an answer, not a fault
    """There is no subscription of this name."""

    code = "unknown_subscription"

    def __init__(self, subscription: str) -> None:
        super().__init__(f"there is no subscription {subscription!r}: see `metering catalog show`")


class NoSuchPeriod(StoreError):  # noqa: N818 - an answer, not a fault
    """A subscription has no period at this time."""

    code = "unknown_period"

    def __init__(self, subscription: str) -> None:
        super().__init__(f"{subscription} has no period then: it has not begun, or has ended")


class PeriodIsRated(StoreError):  # noqa: N818 - an answer, not a fault
    """What was asked for provisionally is final."""

    code = "period_is_rated"

    def __init__(self, subscription: str) -> None:
        super().__init__(f"this period of {subscription} is rated: read its version instead")
