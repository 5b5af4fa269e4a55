"""Whether the charges of a plan fit the meters they name, at any time at which both hold."""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from aggregator.applying.billing_change import MeterVersion
from aggregator.rating.terms import PlanVersion, Span
from schemas.catalog import Meter
from schemas.instant import format_time
from schemas.price import MeteredCharge, Rollup

MeterSpans = Mapping[str, Sequence[Span[MeterVersion]]]

_ADDED_UP: Final = frozenset({"sum", "count", "min", "max", "last"})
_FITTING: Final[Mapping[Rollup, frozenset[str]]] = {
    "p95": _ADDED_UP,
    "avg": _ADDED_UP,
    "sum_of_max": frozenset({"max"}),
    "integral": frozenset({"gauge"}),
    "time_average": frozenset({"gauge"}),
}
"""The aggregations whose windows a roll-up can read; `natural` reads those of each."""


class Misfit(NamedTuple):
    """What is wrong between a charge and its meter."""

    code: str
    meter: str
    sentence: str


def misfits(plan: Span[PlanVersion], meters: MeterSpans) -> Iterator[Misfit]:
    """Everything that is wrong with the metered charges of a plan's version while it holds."""
    for charge in plan.version.terms.metered:
        spans = meters.get(charge.meter)
        if spans is None:
            sentence = f"there is no meter `{charge.meter}`{_near(charge, meters)}"
            yield Misfit("unknown_meter", charge.meter, sentence)
            continue
        if not spans:
            sentence = f"meter `{charge.meter}` is retired: remove charge `{charge.name}` too"
            yield Misfit("meter_retired", charge.meter, sentence)
            continue
        for sentence in _retired(charge, plan, spans):
            yield Misfit("meter_retired", charge.meter, sentence)
        for span in spans:
            if overlap(plan, span):
                yield from _definition_misfits(charge, span.version.terms)
                yield from _edge_misfits(plan, span)


def overlap(one: Span[PlanVersion], other: Span[MeterVersion]) -> bool:
    """Whether two spans have time in common."""
    return _before(one.start_us, other.end_us) and _before(other.start_us, one.end_us)


def _before(start_us: int | None, end_us: int | None) -> bool:
    return start_us is None or end_us is None or start_us < end_us


def _near(charge: MeteredCharge, meters: MeterSpans) -> str:
    near = difflib.get_close_matches(charge.meter, meters, n=1)
    return f": did you mean `{near[0]}`?" if near else ": add it, or correct `meter`"


def _retired(
    charge: MeteredCharge, plan: Span[PlanVersion], spans: Sequence[Span[MeterVersion]]
) -> Iterator[str]:
    """A time at which the plan charges for what is not counted any more."""
    ends_us = [
        (span.end_us, following.start_us if following else None)
        for span, following in zip(spans, [*spans[1:], None], strict=True)
        if span.end_us is not None and (following is None or following.start_us != span.end_us)
    ]
    for end_us, again_us in ends_us:
        if _before(plan.start_us, again_us) and _before(end_us, plan.end_us):
            yield (
                f"meter `{charge.meter}` is retired from {format_time(end_us)}: "
                f"change charge `{charge.name}` from then on too"
            )


def _definition_misfits(charge: MeteredCharge, meter: Meter) -> Iterator[Misfit]:
    for group in charge.group_by:
        if group not in meter.group_by:
            has = ", ".join(f"`{name}`" for name in meter.group_by) or "no groups"
            sentence = f"charge `{charge.name}` groups by `{group}`, but meter `{charge.meter}` has {has}"
            yield Misfit("unknown_group", charge.meter, sentence)
    fitting = _FITTING.get(charge.rollup)
    if fitting is not None and meter.aggregation not in fitting:
        needed = " or ".join(f"`{name}`" for name in sorted(fitting))
        sentence = (
            f"charge `{charge.name}` rolls up by `{charge.rollup}`, which needs a meter of {needed}; "
            f"`{charge.meter}` is one of `{meter.aggregation}`"
        )
        yield Misfit("rollup_does_not_fit", charge.meter, sentence)


def _edge_misfits(plan: Span[PlanVersion], meter: Span[MeterVersion]) -> Iterator[Misfit]:
    """A version that begins, or is followed, within a window."""
    terms = meter.version.terms
    for edge_us in (plan.start_us, plan.end_us):
        if edge_us is None or edge_us % terms.window_us == 0:
            continue
        if _before(meter.start_us, edge_us) and _before(edge_us, meter.end_us):
            sentence = (
                f"{format_time(edge_us)}, from which the change would hold, is inside one of the "
                f"{terms.window} windows of `{terms.name}`"
            )
            yield Misfit("effective_from_not_aligned", terms.name, sentence)
