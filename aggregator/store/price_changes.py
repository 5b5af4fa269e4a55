"""Changing plans and subscriptions: nobody rates while they are compared with what is rated, and written."""

from collections.abc import Sequence
from hashlib import sha256

from aggregator.billing_plan import Section, TermsChange
from aggregator.catalog_plan import ChangeKind
from aggregator.store import audit
from aggregator.store.connection import Connection, json_text, stored_us
from aggregator.store.statements import STATEMENTS
from schemas.subscription import Subscription

_STATEMENTS = {
    Section.PLANS: "insert_plan_versions",
    Section.SUBSCRIPTIONS: "insert_subscription_versions",
}


async def insert(connection: Connection, changes: Sequence[TermsChange], applied_by: str) -> int:
    """Write the new versions of a plan (`BillingPlan.effects`), under the billing lock.

    Returns:
        The new revision.
    """
    rows = {
        section: [
            (
                change.name,
                change.version,
                json_text(change.terms.definition()),
                stored_us(change.effective_from_us),
                change.kind is ChangeKind.RETIRED,
            )
            for change in changes
            if change.section is section
        ]
        for section in _STATEMENTS
    }
    digest = sha256(json_text([*rows.values()]).encode()).digest()
    revision: int = await connection.fetchval(STATEMENTS["insert_billing_apply"], applied_by, digest)
    for section, statement in _STATEMENTS.items():
        if rows[section]:
            await connection.execute(STATEMENTS[statement], *zip(*rows[section], strict=True), revision)
    subjects = [
        (subject, change.name, change.terms.customer)
        for change in changes
        if isinstance(change.terms, Subscription)
        for subject in change.terms.subjects
    ]
    if subjects:
        await connection.execute(STATEMENTS["insert_subscription_subjects"], *zip(*subjects, strict=True))
    await audit.record(connection, applied_by, "catalog.apply", f"revision {revision}", _detail(changes))
    return revision


def _detail(changes: Sequence[TermsChange]) -> dict[str, dict[str, list[str]]]:
    """The names by what happened to them; the versions themselves say the rest."""
    detail: dict[str, dict[str, list[str]]] = {}
    for change in changes:
        detail.setdefault(change.section, {}).setdefault(change.kind, []).append(change.name)
    return detail
