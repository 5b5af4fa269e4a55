"""Plans and subscriptions, as short as the store's tests need them."""

from aggregator.applying.billing_change import Section, TermsChange
from aggregator.applying.catalog_plan import ChangeKind
from aggregator.store import price_changes
from aggregator.store.connection import Connection
from schemas.plan import Plan
from schemas.subscription import Subscription


def price_plan(name: str = "pro", **changes: object) -> Plan:
    fields = {
        "name": name,
        "currency": "USD",
        "rounding": {"places": 2},
        "charges": [
            {"name": "base", "flat": 20},
            {
                "name": "input",
                "meter": "usage_sum",
                "included": 100,
                "price": {"model": "per_unit", "unit_price": "0.1"},
            },
        ],
    }
    return Plan.model_validate(fields | changes)


def subscription(name: str = "acme-pro", **changes: object) -> Subscription:
    customer = name.partition("-")[0]
    fields = {
        "name": name,
        "customer": customer,
        "subjects": [customer],
        "plan": "pro",
        "start": "2026-09-01T00:00:00Z",
        "billing_period": "month",
    }
    return Subscription.model_validate(fields | changes)


def new(terms: Plan | Subscription, version: int = 1, effective_from_us: int | None = None) -> TermsChange:
    section = Section.PLANS if isinstance(terms, Plan) else Section.SUBSCRIPTIONS
    return TermsChange(ChangeKind.NEW, section, terms.name, version, terms, effective_from_us, ())


async def insert(connection: Connection, *changes: TermsChange) -> int:
    async with connection.transaction():
        return await price_changes.insert(connection, changes, "ada")
