"""A rated total, line by line: what its document says, and what the log comes to under the plans it names."""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from hashlib import sha256
from typing import Any, NamedTuple

from aggregator.store import explanation
from aggregator.store import replay as decisions_store
from aggregator.store.connection import Connection
from aggregator.store.rated import document as rated_document
from metering.errors import UsageError
from metering.explain import windows
from metering.explain.facts import CORRECTION, Facts
from metering.explain.recount import Key, MeterRule
from metering.explain.reprice import GAUGE, Charged, Line, LineGroup, Segment, Span, Use, reprice
from metering.explain.windows import Account, Explained, Question, meter_rules
from metering.settings import Settings
from schemas.instant import parse_time_us
from schemas.rated import RatedTotal


class LineAccount(NamedTuple):
    """One line of a document, or a sum of lines; a side is None where it has no such thing."""

    what: str  # line, charge, segment, total
    segment: str | None  # its start
    charge: str | None
    group: Mapping[str, str | None] | None  # None: `other`, or no line
    stored: Facts | None
    recounted: Facts | None
    accounts: Sequence[Account] = ()  # the windows behind it, and what stands beside them

    @property
    def is_equal(self) -> bool:
        """Whether both sides say the same."""
        return self.stored == self.recounted


@dataclass(slots=True)
class ExplainedTotal:
    """A rated total and everything behind it."""

    document: RatedTotal
    digest: str
    windows: Explained
    lines: list[LineAccount] = field(default_factory=list)

    @property
    def is_equal(self) -> bool:
        """Whether the log says the same, of every window and to the last digit of every amount."""
        return self.windows.is_equal and all(line.is_equal for line in self.lines)


class _Charge(NamedTuple):
    """A metered charge in a segment, with what is asked about it."""

    name: str
    definition: Mapping[str, Any]
    rules: Sequence[MeterRule]  # in force in the segment, and of gauges those before
    subjects: Sequence[str]


class _Part(NamedTuple):
    """A segment of the document, read together with the plan that it names."""

    start: str
    start_us: int
    end_us: int
    share: Fraction
    plan: Mapping[str, Any]
    charges: Sequence[_Charge]


async def explain_total(
    connection: Connection, settings: Settings, subscription: str, period_start_us: int, version: int
) -> ExplainedTotal:
    """Read a rated total, and compute it once more from the log.

    Raises:
        UsageError: there is no such version (`unknown_version`).
        StoppedError: the log no longer reaches back that far (`log_start_gone`).
    """
    text = await rated_document(connection, subscription, period_start_us, version)
    if text is None:
        raise UsageError(
            "unknown_version", "There is no such version: `metering rated SUBSCRIPTION` lists them."
        )
    document = RatedTotal.model_validate_json(text)
    rules = meter_rules(await decisions_store.decisions(connection))
    cut_us = parse_time_us(document.cut)
    parts = [part async for part in _parts(connection, document, rules)]
    questions = [question for part in parts for question in await _questions(connection, part, cut_us)]
    found = await windows.explain(connection, settings, list(dict.fromkeys(questions)))
    explained = ExplainedTotal(document, sha256(text.encode()).hexdigest(), found)
    _compare(explained, parts)
    return explained


async def _parts(
    connection: Connection, document: RatedTotal, rules: Mapping[int, MeterRule]
) -> AsyncIterator[_Part]:
    for segment in document.segments:
        plan = await explanation.plan(connection, segment.plan, segment.plan_version)
        terms = await explanation.subscription(
            connection, document.subscription, segment.subscription_version
        )
        start_us, end_us = parse_time_us(segment.start), parse_time_us(segment.end)
        charges = [
            _Charge(
                charge["name"],
                charge,
                list(_read(rules, charge["meter"], start_us, end_us)),
                terms["subjects"],
            )
            for charge in plan["charges"]
            if "meter" in charge
        ]
        yield _Part(segment.start, start_us, end_us, Fraction(segment.share), plan, charges)


def _read(rules: Mapping[int, MeterRule], meter: str, start_us: int, end_us: int) -> Iterator[MeterRule]:
    """The versions whose windows count in a segment; of a gauge also those whose points are carried in."""
    for rule in rules.values():
        begins = rule.from_us is None or rule.from_us < end_us
        goes_on = rule.until_us is None or rule.until_us > start_us
        if rule.meter == meter and begins and (goes_on or rule.aggregation == GAUGE):
            yield rule


async def _questions(connection: Connection, part: _Part, cut_us: int) -> list[Question]:
    questions = []
    for charge in part.charges:
        gauges = [rule.meter_version_id for rule in charge.rules if rule.aggregation == GAUGE]
        from_us = part.start_us
        if gauges:
            from_us = await explanation.carried_from(connection, gauges, charge.subjects, from_us)
        meter = charge.definition["meter"]
        questions.append(Question((meter,), tuple(charge.subjects), from_us, part.end_us, cut_us))
    return questions


def _compare(explained: ExplainedTotal, parts: Sequence[_Part]) -> None:
    by_place: dict[tuple[str, str], list[Account]] = {}
    for account in explained.windows.accounts:
        rule = explained.windows.rules[account.key.meter_version_id]
        by_place.setdefault((rule.meter, account.key.subject), []).append(account)
    replaced = _replaced(explained.windows.accounts)
    amount, unrounded = Fraction(0), Fraction(0)
    for place, (part, segment) in enumerate(zip(parts, explained.document.segments, strict=True)):
        behind = {charge.name: _behind(charge, part, by_place) for charge in part.charges}
        uses = {
            charge.name: [
                use
                for account in behind[charge.name]
                for use in _uses(account, charge, explained, replaced.get(account.key))
            ]
            for charge in part.charges
        }
        spans = {charge.name: list(_spans(charge, part)) for charge in part.charges}
        again = reprice(part.plan, part.share, place == 0, part.start_us, part.end_us, uses, spans)
        explained.lines += _compared(part, segment, again, behind, explained)
        amount += again.amount
        unrounded += again.unrounded
    document = explained.document
    stored = _sums(document.unrounded_amount, document.amount)
    explained.lines.append(LineAccount("total", None, None, None, stored, _totals(unrounded, amount)))


def _behind(
    charge: _Charge, part: _Part, by_place: Mapping[tuple[str, str], Sequence[Account]]
) -> list[Account]:
    """The windows that a charge reads in a segment, without those of gauges that are only looked through."""
    ids = {rule.meter_version_id: rule for rule in charge.rules}
    seen = {}
    for subject in charge.subjects:
        for account in by_place.get((charge.definition["meter"], subject), ()):
            rule = ids.get(account.key.meter_version_id)
            is_in = part.start_us <= account.key.start_us < part.end_us
            is_before = account.key.start_us < part.start_us
            if rule is not None and (is_in or (rule.aggregation == GAUGE and is_before)):
                seen[account.kind, account.key, account.partition, account.offsets] = account
    return list(seen.values())


def _runs(charge: _Charge) -> dict[int, str]:
    """The aggregation of each version; gauges that cannot carry on the points of others are told apart."""
    runs, before, number = {}, None, 0
    for rule in charge.rules:
        runs[rule.meter_version_id] = rule.aggregation
        if rule.aggregation == GAUGE:
            names = {name for name, _ in rule.groups}
            if before is not None and (before[0] != rule.from_us or before[1] != names):
                number += 1
            before = rule.until_us, names
            runs[rule.meter_version_id] = f"{GAUGE} {number}"
    return runs


def _spans(charge: _Charge, part: _Part) -> Iterator[Span]:
    runs = _runs(charge)
    for rule in charge.rules:
        start_us = max(part.start_us, rule.from_us or part.start_us)
        end_us = min(part.end_us, rule.until_us or part.end_us)
        if start_us < end_us:
            yield Span(runs[rule.meter_version_id], rule.window_us, start_us, end_us)


class _Replaced(NamedTuple):
    """What a window's newest replacement is."""

    promotion: int
    replaces_before: int


def _replaced(accounts: Sequence[Account]) -> dict[Key, _Replaced]:
    found: dict[Key, _Replaced] = {}
    for account in accounts:
        facts = account.stored
        if account.kind == CORRECTION and facts is not None and facts["replaces_before"] is not None:
            one = _Replaced(facts["promotion"], facts["replaces_before"])
            found[account.key] = max(one, found.get(account.key, one))
    return found


def _is_replaced(account: Account, replaced: _Replaced | None) -> bool:
    """Whether a promotion has something else in the place of this."""
    if replaced is None:
        return False
    if account.kind == CORRECTION:
        facts = account.stored or {}
        return bool(facts["promotion"] != replaced.promotion)
    return account.kind == "window" or account.offsets[0] < replaced.replaces_before


def _uses(
    account: Account, charge: _Charge, explained: ExplainedTotal, replaced: _Replaced | None
) -> Iterator[Use]:
    """The events of a window, or the one beside it, as the log has them; a correction as it is stored.

    What was replaced is left of it as a number of events.
    """
    key = account.key
    rule = explained.windows.rules[key.meter_version_id]
    aggregation = _runs(charge)[key.meter_version_id]
    line = _line_of(charge, rule, key)
    names = [name for name, _ in rule.groups]
    series = key.groups if key.groups is None else frozenset(zip(names, key.groups, strict=True))
    common = key.subject, aggregation, line, series, key.start_us
    is_gauge, facts = rule.aggregation == GAUGE, account.recounted
    if account.kind == CORRECTION:
        facts = account.stored
    if _is_replaced(account, replaced):
        if not is_gauge and facts is not None:
            yield Use(*common, facts["events"], None, None, key.start_us, account.offsets[0])
        return
    for event in explained.windows.found.windows.get(key, ()) if account.kind == "window" else ():
        text = event.value if isinstance(event.value, str) else None
        number = None if isinstance(event.value, str | None) else Fraction(event.value)
        yield Use(*common, 1, number, text, event.time_us, event.offset)
    if account.kind != "window" and facts is not None:
        events = facts["events"]
        if is_gauge and account.kind == CORRECTION:
            events = 0 if facts["value"] is None else 1  # how many points there are is told by the points
        offset = account.offsets[0] if facts["value_offset"] is None else facts["value_offset"]
        yield Use(*common, events, facts["value"], facts["member"], facts["event_time_us"], offset)


def _line_of(charge: _Charge, rule: MeterRule, key: Key) -> LineGroup:
    wanted = charge.definition["group_by"]
    if not wanted:
        return ()
    if key.groups is None:
        return None
    values = {name: value for (name, _), value in zip(rule.groups, key.groups, strict=True)}
    return tuple(values.get(name) for name in wanted)


def _compared(
    part: _Part,
    segment: Any,  # noqa: ANN401 - schemas.rated.Segment
    again: Segment,
    behind: Mapping[str, Sequence[Account]],
    explained: ExplainedTotal,
) -> Iterator[LineAccount]:
    charges = {charge.name: charge for charge in part.charges}
    recounted = {charge.name: charge for charge in again.charges}
    for charge in segment.charges:
        metered = charges.get(charge.charge)
        names = [] if metered is None else metered.definition["group_by"]
        unpriced = [one for one in explained.document.unpriced if one.segment == part.start]
        stored = {_group_key(line.group, names): _stored_line(line) for line in charge.lines}
        stored |= {
            _group_key(one.group, names): _facts(one.quantity, one.events, None, "0", "0", "0")
            for one in unpriced
            if one.charge == charge.charge
        }
        other = recounted.get(charge.charge, Charged(charge.charge))
        found = {line.group: _recounted_line(line) for line in other.lines}
        for group in {**stored, **found}:
            accounts = [
                account
                for account in behind.get(charge.charge, ())
                if metered is not None
                and _line_of(metered, explained.windows.rules[account.key.meter_version_id], account.key)
                == group
            ]
            yield LineAccount(
                "line",
                part.start,
                charge.charge,
                None if group is None else dict(zip(names, group, strict=True)),
                stored.get(group),
                found.get(group),
                accounts,
            )
        sums = _sums(charge.unrounded_amount, charge.amount)
        again_sums = _totals(other.unrounded, other.amount)
        yield LineAccount("charge", part.start, charge.charge, None, sums, again_sums)
    sums, again_sums = _sums(segment.unrounded_amount, segment.amount), _totals(again.unrounded, again.amount)
    yield LineAccount("segment", part.start, None, None, sums, again_sums)


def _group_key(group: Mapping[str, str | None] | None, names: Sequence[str]) -> LineGroup:
    return None if group is None else tuple(group.get(name) for name in names)


def _stored_line(line: Any) -> Facts:  # noqa: ANN401 - schemas.rated.Line
    in_tiers = sum((Fraction(tier.amount) for tier in line.tiers), Fraction(0))
    facts = _facts(line.quantity, line.events, line.price, line.billable, line.unrounded_amount, line.amount)
    return {**facts, "in_tiers": in_tiers}


def _recounted_line(line: Line) -> Facts:
    facts = _facts(line.quantity, line.events, line.price, line.billable, line.unrounded, line.amount)
    return facts if line.price is None else {**facts, "in_tiers": line.unrounded}


def _facts(
    quantity: str | Fraction,
    events: int,
    price: str | None,
    billable: str | Fraction,
    unrounded: str | Fraction,
    amount: str | Fraction,
) -> dict[str, Any]:
    return {
        "quantity": Fraction(quantity),
        "events": events,
        "price": price,
        "billable": Fraction(billable),
        "unrounded_amount": Fraction(unrounded),
        "amount": Fraction(amount),
    }


def _sums(unrounded: str, amount: str) -> Facts:
    return _totals(Fraction(unrounded), Fraction(amount))


def _totals(unrounded: Fraction, amount: Fraction) -> Facts:
    return {"unrounded_amount": unrounded, "amount": amount}
