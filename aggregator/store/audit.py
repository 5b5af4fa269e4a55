"""Who wrote what: a row for every write by a person or a token, in the transaction of that write."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from aggregator.store.connection import Connection, json_text
from aggregator.store.statements import STATEMENTS


class Entry(NamedTuple):
    """One row of the audit log."""

    audit_id: int
    at_us: int
    who: str
    action: str
    target: str
    detail: Mapping[str, Any]


async def record(
    connection: Connection, who: str, action: str, target: str, detail: Mapping[str, Any]
) -> None:
    """Tell of a write; call it in the transaction that writes, so that neither is without the other.

    Args:
        connection: in that transaction.
        who: a person (`alice`, `root@host`), or `Access.who` of a token.
        action: what was done, as `kind.verb`: `catalog.apply`, `token.revoke`.
        target: what it was done to: a name, an id.
        detail: what else a reader of the log should know; JSON, without secrets.
    """
    await connection.execute(STATEMENTS["insert_audit"], who, action, target, dict(detail))


async def record_all(
    connection: Connection, who: str, action: str, told: Sequence[tuple[str, Mapping[str, Any]]]
) -> None:
    """Tell of many writes of one kind, each by its target and detail; as `record` does."""
    targets = [target for target, _ in told]
    details = [json_text(dict(detail)) for _, detail in told]
    await connection.execute(STATEMENTS["insert_audits"], who, action, targets, details)


async def entries(
    connection: Connection,
    *,
    action: str | None = None,
    target: str | None = None,
    before: int | None = None,
    limit: int,
) -> list[Entry]:
    """The newest entries, the newest first; `before` is the id to go on from."""
    rows = await connection.fetch(STATEMENTS["audit_entries"], action, target, before, limit)
    return [
        Entry(row["audit_id"], row["at"], row["who"], row["action"], row["target"], row["detail"])
        for row in rows
    ]
