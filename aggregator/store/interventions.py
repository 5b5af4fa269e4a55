"""What an operator decides about a partition that has stopped; kept with a name and a reason."""

from aggregator.store import audit
from aggregator.store.connection import Connection
from aggregator.store.errors import Fenced
from aggregator.store.statements import STATEMENTS


async def cap_clock(
    connection: Connection, partition: int, offset: int, cap_us: int, *, reason: str, who: str
) -> None:
    """Let the record at `offset` count as if it had been appended at `cap_us`: its broker's clock had jumped.

    Raises:
        Fenced: the partition has counted that record already, or there is no such partition.
        asyncpg.UniqueViolationError: there is a cap for this offset; caps are never changed.
    """
    async with connection.transaction():
        row = await connection.fetchrow(
            STATEMENTS["insert_clock_cap"], partition, offset, cap_us, reason, who
        )
        if row is None:
            raise Fenced({partition})
        detail = {"offset": offset, "cap_us": cap_us, "reason": reason}
        await audit.record(connection, who, "partition.cap", str(partition), detail)


async def skip(
    connection: Connection, partition: int, first_offset: int, next_offset: int, *, reason: str, who: str
) -> None:
    """Give up `[first_offset, next_offset)` as `lost`: counting goes on behind it after the next claim.

    Raises:
        Fenced: the partition does not stand at `first_offset`; nothing was changed.
    """
    async with connection.transaction():
        row = await connection.fetchrow(
            STATEMENTS["skip_offsets"], partition, first_offset, next_offset, reason, who
        )
        if row is None:
            raise Fenced({partition})
        detail = {"first_offset": first_offset, "next_offset": next_offset, "reason": reason}
        await audit.record(connection, who, "partition.skip", str(partition), detail)
