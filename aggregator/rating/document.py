"""The rated document of a period: what it comes to, line by line."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

from aggregator.rating.amounts import exact_text
from aggregator.rating.difference import difference
from aggregator.rating.lines import charge_lines
from aggregator.rating.meters import Meters
from aggregator.rating.pricing import Bound as PricedBound
from aggregator.rating.pricing import Portion, PricedCharge, PricedLine, PricedSegment, price_segment
from aggregator.rating.questions import Answers, Requests, versions_read
from aggregator.rating.segments import RatedPeriod, Segment
from aggregator.rating.tiers import PricedTier
from schemas import rated
from schemas.instant import format_time
from schemas.price import FlatCharge, MeteredCharge

ZERO: Final = Fraction(0)


@dataclass(frozen=True, slots=True)
class Total:
    """A period that was rated, before it is said which version it is, or that it is provisional."""

    subscription: str
    customer: str
    currency: str
    period: rated.Period
    segments: list[rated.Segment]
    unpriced: list[rated.UnpricedLine]
    unrounded_amount: Fraction
    amount: Fraction

    def as_first_version(self, cut_us: int) -> rated.RatedTotal:
        """The document of the first version."""
        return rated.RatedTotal(**self._parts(), version=1, cut=format_time(cut_us), difference=None)

    def as_next_version(self, before: rated.RatedTotal, cut_us: int) -> rated.RatedTotal | None:
        """The document of the version after another; None if no quantity and no amount has changed."""
        changed = difference(before, self.segments, self.unpriced, self.amount)
        if changed is None:
            return None
        return rated.RatedTotal(
            **self._parts(), version=before.version + 1, cut=format_time(cut_us), difference=changed
        )

    def as_provisional(self, log_time_us: int | None) -> rated.ProvisionalTotal:
        """The document of a period that may still change, as of a log time."""
        return rated.ProvisionalTotal(
            **self._parts(),
            provisional=True,
            log_time=None if log_time_us is None else format_time(log_time_us),
        )

    def _parts(self) -> dict[str, Any]:
        return {
            "subscription": self.subscription,
            "customer": self.customer,
            "currency": self.currency,
            "period": self.period,
            "segments": self.segments,
            "unpriced": self.unpriced,
            "unrounded_amount": exact_text(self.unrounded_amount),
            "amount": exact_text(self.amount),
        }


def total(period: RatedPeriod, meters: Meters, requests: Requests, answers: Answers) -> Total:
    """What a period comes to by the answers to the questions that it asked."""
    segments: list[rated.Segment] = []
    unpriced: list[rated.UnpricedLine] = []
    unrounded, amount = ZERO, ZERO
    for place, segment in enumerate(period.segments):
        usage = {
            charge.name: charge_lines(
                charge,
                segment,
                list(versions_read(charge, meters, segment)),
                [requests[place, charge.name, subject] for subject in segment.subscription.terms.subjects],
                answers,
            )
            for charge in segment.plan.terms.metered
        }
        priced = price_segment(segment.plan.terms, Portion(segment.share, is_first=place == 0), usage)
        segments.append(_segment(segment, meters, priced))
        unpriced += _unpriced(segment, priced)
        unrounded += priced.unrounded_amount
        amount += priced.amount
    terms = period.segments[-1].subscription.terms
    return Total(
        terms.name,
        terms.customer,
        period.segments[-1].plan.terms.currency,
        rated.Period(
            start=format_time(period.start_us),
            end=format_time(period.end_us),
            timezone=terms.timezone,
            billing_period=terms.billing_period,
        ),
        segments,
        unpriced,
        unrounded,
        amount,
    )


def _segment(segment: Segment, meters: Meters, priced: PricedSegment) -> rated.Segment:
    plan = segment.plan.terms
    share = segment.share if plan.prorate else Fraction(1)
    charges = {charge.name: charge for charge in plan.charges}
    return rated.Segment(
        start=format_time(segment.start_us),
        end=format_time(segment.end_us),
        share=exact_text(segment.share),
        plan=plan.name,
        plan_version=segment.plan.version,
        subscription_version=segment.subscription.version,
        charges=[_charge(charges[one.charge], segment, meters, one, share) for one in priced.charges],
        bounds=_bounds(priced.bounds, plan.minimum, plan.maximum, share),
        unrounded_amount=exact_text(priced.unrounded_amount),
        amount=exact_text(priced.amount),
    )


def _charge(
    charge: FlatCharge | MeteredCharge,
    segment: Segment,
    meters: Meters,
    priced: PricedCharge,
    share: Fraction,
) -> rated.ChargeTotal:
    if isinstance(charge, FlatCharge):
        meter, versions, rollup_name, bounds = None, [], None, []
    else:
        meter, rollup_name = charge.meter, charge.rollup
        versions = sorted(
            version.version
            for version in versions_read(charge, meters, segment)
            if version.is_in_force(segment.start_us, segment.end_us)
        )
        bounds = _bounds(priced.bounds, charge.minimum, charge.maximum, share)
    return rated.ChargeTotal(
        charge=charge.name,
        meter=meter,
        meter_versions=versions,
        rollup=rollup_name,
        lines=[_line(line, is_flat=meter is None) for line in priced.lines],
        bounds=bounds,
        unrounded_amount=exact_text(priced.unrounded_amount),
        amount=exact_text(priced.amount),
    )


def _line(line: PricedLine, *, is_flat: bool) -> rated.Line:
    return rated.Line(
        kind="flat" if is_flat else "usage",
        group=_group(line.group),
        is_other=line.group is None,
        quantity=exact_text(line.quantity),
        events=line.events,
        included=exact_text(line.included),
        billable=exact_text(line.billable),
        price=line.price,
        tiers=[_tier(tier) for tier in line.tiers],
        unrounded_amount=exact_text(line.unrounded_amount),
        amount=exact_text(line.amount),
    )


def _tier(tier: PricedTier) -> rated.TierAmount:
    return rated.TierAmount(
        from_=exact_text(tier.from_quantity),
        up_to=None if tier.up_to is None else exact_text(tier.up_to),
        quantity=exact_text(tier.quantity),
        unit_price=exact_text(tier.unit_price),
        per=exact_text(tier.per),
        flat=exact_text(tier.flat),
        amount=exact_text(tier.amount),
    )


def _bounds(
    bounds: Iterable[PricedBound], minimum: Decimal | None, maximum: Decimal | None, share: Fraction
) -> list[rated.Bound]:
    limits = {"minimum": minimum, "maximum": maximum}
    return [
        rated.Bound(
            kind=bound.kind,
            limit=exact_text(Fraction(limits[bound.kind] or 0) * share),
            unrounded_amount=exact_text(bound.unrounded_amount),
            amount=exact_text(bound.amount),
        )
        for bound in bounds
    ]


def _unpriced(segment: Segment, priced: PricedSegment) -> Iterator[rated.UnpricedLine]:
    meters = {charge.name: charge.meter for charge in segment.plan.terms.metered}
    for charge in priced.charges:
        for usage in charge.unpriced:
            yield rated.UnpricedLine(
                segment=format_time(segment.start_us),
                charge=charge.charge,
                meter=meters[charge.charge],
                group=_group(usage.group),
                is_other=usage.group is None,
                quantity=exact_text(usage.quantity),
                events=usage.events,
            )


def _group(group: Mapping[str, str | None] | None) -> dict[str, str | None] | None:
    return None if group is None else dict(group)
