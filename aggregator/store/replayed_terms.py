"""What a replay is rated on: the terms of the counted schema, and beside them those of a file."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import count
from typing import Any

from aggregator.applying.billing_change import BillingState, TermsChange
from aggregator.applying.catalog_plan import ChangeKind
from aggregator.rating.terms import PlanVersion, SubscriptionVersion
from aggregator.store.connection import instant_us, json_text, stored_us
from aggregator.store.replay import Source
from schemas.plan import Plan
from schemas.subscription import Subscription


def billing_state(source: Source) -> BillingState:
    """The plans and subscriptions that a replay takes over; no meters."""
    plans: dict[str, list[PlanVersion]] = {}
    for version_id, name, version, definition, effective_from, retired, known_from in source.plans:
        terms = Plan.from_definition(_read(definition))
        one = PlanVersion(version_id, version, instant_us(effective_from), retired, terms, known_from)
        plans.setdefault(name, []).append(one)
    subscriptions: dict[str, list[SubscriptionVersion]] = {}
    for (
        version_id,
        name,
        version,
        _,
        _,
        definition,
        effective_from,
        retired,
        known_from,
    ) in source.subscriptions:
        subscriptions.setdefault(name, []).append(
            SubscriptionVersion(
                version_id,
                version,
                instant_us(effective_from),
                retired,
                Subscription.from_definition(_read(definition)),
                known_from,
            )
        )
    return BillingState({}, plans, subscriptions, {})


def with_terms(source: Source, changes: Sequence[TermsChange]) -> Source:
    """The same with versions more, which every cut of the replay knows."""
    plan_ids, subscription_ids = (
        count(max((row[0] for row in rows), default=0) + 1) for rows in (source.plans, source.subscriptions)
    )
    plans, subscriptions = [*source.plans], [*source.subscriptions]
    subjects = dict.fromkeys(source.subjects)
    for change in changes:
        terms = change.terms
        effective_from = stored_us(change.effective_from_us)
        definition = json_text(terms.definition())
        end = (definition, effective_from, change.kind is ChangeKind.RETIRED, None)
        if isinstance(terms, Plan):
            plans.append((next(plan_ids), terms.name, change.version, *end))
        else:
            named = (terms.name, change.version, terms.customer, terms.plan)
            subscriptions.append((next(subscription_ids), *named, *end))
            subjects |= dict.fromkeys((subject, terms.name, terms.customer) for subject in terms.subjects)
    return replace(source, plans=plans, subscriptions=subscriptions, subjects=[*subjects])


def _read(definition: str) -> Mapping[str, Any]:
    read: Mapping[str, Any] = json.loads(definition)
    return read
