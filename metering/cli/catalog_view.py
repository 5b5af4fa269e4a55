"""How a catalog, and what is to be changed in it, looks: a diff and tables for people, JSON for machines."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeVar

from aggregator.applying import catalog_plan
from aggregator.applying.billing_change import Section, TermsChange
from aggregator.applying.catalog_plan import ChangeKind
from aggregator.rating.terms import PlanVersion, SubscriptionVersion
from aggregator.store.load import StoredCatalog, StoredMeterVersion
from aggregator.store.price_changes import Applied
from metering.cli.output import print_json, print_lines, print_table, say, time_text
from schemas.price import FlatCharge

_SIGNS: Final = {
    ChangeKind.NEW: ("+", "green"),
    ChangeKind.CHANGED: ("~", "yellow"),
    ChangeKind.RETIRED: ("-", "red"),
    ChangeKind.UNCHANGED: ("=", "dim"),
}
_ONE_OF: Final = {Section.METERS: "meter", Section.PLANS: "plan", Section.SUBSCRIPTIONS: "subscription"}
_BEGINNING: Final = "the beginning"

AnyVersion = TypeVar("AnyVersion", PlanVersion, SubscriptionVersion)


class StoredTerms(NamedTuple):
    """The whole catalog as it is stored."""

    catalog: StoredCatalog
    revision: int
    plans: Mapping[str, Sequence[PlanVersion]]
    subscriptions: Mapping[str, Sequence[SubscriptionVersion]]


class _Change(NamedTuple):
    """A change of anything."""

    section: Section
    name: str
    kind: ChangeKind
    version: int
    effective_from_us: int | None
    differences: Sequence[catalog_plan.Difference]


def show_plan(applied: Applied, *, as_json: bool) -> None:
    """Show what would change, or has."""
    plan = applied.plan
    changes = [*map(_of_meter, plan.meters), *map(_of_terms, plan.terms)]
    if as_json:
        numbers = {"head": applied.head, "revision": applied.revision}
        print_json({"changes": [_change_object(one) for one in changes], **numbers})
        return
    for change in changes:
        if change.kind is not ChangeKind.UNCHANGED or change.section is Section.METERS:
            print_lines(_lines(change), _SIGNS[change.kind][1])
    for section in (Section.PLANS, Section.SUBSCRIPTIONS):
        count = sum(one.section is section and one.kind is ChangeKind.UNCHANGED for one in changes)
        if count:
            sign, style = _SIGNS[ChangeKind.UNCHANGED]
            say(f"{sign} {count:,} {_ONE_OF[section]}{'s' * (count > 1)} (unchanged)", style)
    if applied.head is not None:
        say(f"Applied: the catalog's head is now {applied.head}.")
    if applied.revision is not None:
        say(f"Applied: the revision of plans and subscriptions is now {applied.revision}.")
    if not plan.effects and not plan.meter_effects:
        say("Nothing would change.")


def show_stored(stored: StoredTerms, sections: Sequence[Section], *, history: bool, as_json: bool) -> None:
    """Show what is stored, each in its newest version or in all."""
    meters = _meters(stored.catalog, history=history) if Section.METERS in sections else []
    plans, subscriptions = (
        _shown(stored.plans, history=history),
        _shown(stored.subscriptions, history=history),
    )
    if as_json:
        print_json(*({"head": stored.catalog.head, **_meter_object(one)} for one in meters))
        for name, versions in (("plan", plans), ("subscription", subscriptions)):
            print_json(*({"revision": stored.revision, **_terms_object(name, one)} for one in versions))
        return
    if Section.METERS in sections:
        print_table(
            f"Catalog (head {stored.catalog.head})",
            ["Meter", "Version", "From", "Event type", "Aggregation", "Value", "Groups", "Window", "Grace"],
            map(_meter_row, meters),
        )
    if plans:
        columns = ["Plan", "Version", "From", "Currency", "Charges"]
        print_table(f"Plans (revision {stored.revision})", columns, map(_plan_row, plans))
    if subscriptions:
        print_table(
            f"Subscriptions (revision {stored.revision})",
            [
                "Subscription",
                "Version",
                "From",
                "Customer",
                "Subjects",
                "Plan",
                "Start",
                "End",
                "Period",
                "Zone",
            ],
            map(_subscription_row, subscriptions),
        )


def _of_meter(change: catalog_plan.Change) -> _Change:
    return _Change(
        Section.METERS,
        change.meter,
        change.kind,
        change.version,
        change.effective_from_us,
        change.differences,
    )


def _of_terms(change: TermsChange) -> _Change:
    return _Change(
        change.section,
        change.name,
        change.kind,
        change.version,
        change.effective_from_us,
        change.differences,
    )


def _lines(change: _Change) -> Iterator[str]:
    what = "" if change.section is Section.METERS else f"{_ONE_OF[change.section]} "
    yield f"{_SIGNS[change.kind][0]} {what}{change.name} ({change.kind}{_since(change)})"
    differences = () if change.kind is ChangeKind.RETIRED else change.differences
    for field, before, after in differences:
        was = "" if change.kind is ChangeKind.NEW else f"{_plain(before)} → "
        yield f"    {field}: {was}{_plain(after)}"


def _since(change: _Change) -> str:
    if change.kind is ChangeKind.UNCHANGED:
        return ""
    start = time_text(change.effective_from_us) or _BEGINNING
    return f": version {change.version}, from {start}"


def _change_object(change: _Change) -> dict[str, Any]:
    return {
        "kind": change.kind,
        _ONE_OF[change.section]: change.name,
        "version": None if change.kind is ChangeKind.UNCHANGED else change.version,
        "effective_from": time_text(change.effective_from_us),
        "differences": [one._asdict() for one in change.differences],
    }


def _meters(catalog: StoredCatalog, *, history: bool) -> list[StoredMeterVersion]:
    newest = {one.meter: one for one in sorted(catalog.versions, key=lambda one: one.version)}
    versions = catalog.versions if history else [one for one in newest.values() if not one.retired]
    return sorted(versions, key=lambda one: (one.meter, one.version))


def _shown(stored: Mapping[str, Sequence[AnyVersion]], *, history: bool) -> list[AnyVersion]:
    def chosen() -> Iterator[AnyVersion]:
        for versions in stored.values():
            yield from versions if history else [one for one in versions[-1:] if not one.retired]

    return list(chosen())


def _meter_object(one: StoredMeterVersion) -> dict[str, Any]:
    return {
        "meter": one.meter,
        "version": one.version,
        "effective_from": time_text(one.effective_from_us),
        "retired": one.retired,
        "definition": one.definition,
    }


def _terms_object(name: str, one: PlanVersion | SubscriptionVersion) -> dict[str, Any]:
    return {
        name: one.terms.name,
        "version": one.version,
        "effective_from": time_text(one.effective_from_us),
        "retired": one.retired,
        "definition": one.terms.definition(),
    }


def _meter_row(one: StoredMeterVersion) -> tuple[object, ...]:
    definition: dict[str, Any] = one.definition
    return (
        one.meter,
        *_version_cells(one),
        definition["event_type"],
        definition["aggregation"],
        definition.get("value"),
        ", ".join(group["name"] for group in definition["group_by"]),
        definition["window"],
        definition["grace"],
    )


def _plan_row(one: PlanVersion) -> tuple[object, ...]:
    charges = [
        charge.name if isinstance(charge, FlatCharge) else f"{charge.name} ({charge.meter})"
        for charge in one.terms.charges
    ]
    return (one.terms.name, *_version_cells(one), one.terms.currency, ", ".join(charges))


def _subscription_row(one: SubscriptionVersion) -> tuple[object, ...]:
    terms = one.terms
    return (
        terms.name,
        *_version_cells(one),
        terms.customer,
        ", ".join(terms.subjects),
        terms.plan,
        terms.start,
        terms.end,
        terms.billing_period,
        terms.timezone,
    )


def _version_cells(one: StoredMeterVersion | PlanVersion | SubscriptionVersion) -> tuple[str, str]:
    retired = " (retired)" if one.retired else ""
    return f"{one.version}{retired}", time_text(one.effective_from_us) or _BEGINNING


def _plain(value: object) -> str:
    match value:
        case None:
            return "unset"
        case list():
            return ", ".join(_plain(item) for item in value) or "none"
        case {"name": name, "path": path}:
            return str(name) if name == path else f"{name} ({path})"
        case dict():
            return ", ".join(f"{name} in {_plain(item)}" for name, item in value.items()) or "none"
        case _:
            return str(value)
