"""Whose data a token sees: what is somebody else's does not exist for it."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from aggregator.access import Access
from aggregator.rating.terms import SubscriptionVersion, in_force, lifetime
from aggregator.store import prices, reading
from aggregator.store.connection import Connection
from aggregator.store.reading import Stretch, Visible
from metering.api.problems import not_found

_NAMES_AT_ONCE: Final = 1000


async def subscription(connection: Connection, access: Access, name: str) -> Sequence[SubscriptionVersion]:
    """Every version of a subscription that the token may see.

    Raises:
        ProblemResponseError: there is none, or it is another customer's (`not_found`, both).
    """
    versions = (await prices.subscriptions(connection, [name])).get(name, [])
    if not versions or not access.sees(versions[-1].terms.customer):
        raise not_found(f"subscription {name}")
    return versions


async def require_own(connection: Connection, access: Access, name: str) -> None:
    """Let a request for something of a subscription go on; raises as `subscription` does."""
    customer = await reading.customer_of(connection, name)
    if customer is None or not access.sees(customer):
        raise not_found(f"subscription {name}")


async def own_subscriptions(
    connection: Connection, access: Access
) -> Mapping[str, Sequence[SubscriptionVersion]]:
    """Every version of every subscription of the token's customers."""
    names: list[str] = []
    while True:
        page = await prices.subscription_page(
            connection, customers=access.customers, after=names[-1] if names else "", limit=_NAMES_AT_ONCE
        )
        names += page
        if len(page) < _NAMES_AT_ONCE:
            return await prices.subscriptions(connection, names)


async def visible_subjects(connection: Connection, access: Access, subject: str | None) -> Visible | None:
    """The subjects of the token's customers, and for how long each was theirs; None: every subject, ever.

    A subject may move from one customer to another: each sees its own time, by when a version of a
    subscription that names the subject was in force.

    Args:
        connection: in one snapshot.
        access: what the token may do.
        subject: if no other is asked about.
    """
    if access.customers is None:
        return None
    if subject is None:
        return _visible(await own_subscriptions(connection, access))
    names = (await prices.subscriptions_of_subjects(connection, [subject]))[subject]
    found = await prices.subscriptions(connection, names)
    return _visible(
        {name: versions for name, versions in found.items() if access.sees(versions[-1].terms.customer)}
    )


def _visible(subscriptions: Mapping[str, Sequence[SubscriptionVersion]]) -> Visible:
    found: dict[str, list[Stretch]] = {}
    for versions in subscriptions.values():
        start_us, end_us = lifetime(versions)
        for span in in_force(versions):
            first_us = start_us if span.start_us is None else max(start_us, span.start_us)
            last_us = min((us for us in (end_us, span.end_us) if us is not None), default=None)
            if last_us is None or first_us < last_us:
                for one in span.version.terms.subjects:
                    found.setdefault(one, []).append(Stretch(first_us, last_us))
    return {one: _joined(stretches) for one, stretches in found.items()}


def _joined(stretches: Iterable[Stretch]) -> list[Stretch]:
    """The same time in as few stretches as can be, none of which touches another."""
    joined: list[Stretch] = []
    for stretch in sorted(stretches, key=lambda one: one.from_us or 0):
        last = joined[-1] if joined else None
        if last is None or (last.to_us is not None and last.to_us < (stretch.from_us or 0)):
            joined.append(stretch)
        else:
            ends = (last.to_us, stretch.to_us)
            joined[-1] = Stretch(
                last.from_us, None if None in ends else max(us for us in ends if us is not None)
            )
    return joined
