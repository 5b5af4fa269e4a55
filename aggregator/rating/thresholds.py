"""Which thresholds a period has crossed."""

from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction

from aggregator.rating.amounts import exact_text
from aggregator.rating.document import Total
from aggregator.rating.segments import RatedPeriod
from schemas import rated
from schemas.subscription import Threshold


def crossed(total: Total, period: RatedPeriod, until_us: int | None = None) -> list[rated.ThresholdNotice]:
    """The thresholds that a period has reached, each once; a notice is the same whenever it is made.

    A percentage is reached when a line of its charge reaches that part of its own included quantity, in a
    segment whose version of the subscription names the threshold; an amount, when the period's total does.

    Args:
        total: what the period comes to.
        period: of which it is.
        until_us: thresholds of segments that begin later are not looked at; None: of all segments.
    """
    found: dict[str, rated.ThresholdNotice] = {}
    for segment, document in zip(period.segments, total.segments, strict=True):
        if until_us is not None and segment.start_us > until_us:
            break
        for threshold in segment.subscription.terms.thresholds:
            if _is_crossed(threshold, total, document):
                found.setdefault(threshold.text, _notice(threshold, total))
    return [found[text] for text in sorted(found)]


def _is_crossed(threshold: Threshold, total: Total, segment: rated.Segment) -> bool:
    if threshold.amount is not None:
        return total.amount >= Fraction(threshold.amount)
    part = Fraction(threshold.percent or Decimal(0)) / 100
    return any(
        included > 0 and quantity >= part * included
        for quantity, included in _lines(segment, threshold.charge)
    )


def _lines(segment: rated.Segment, charge: str | None) -> Iterator[tuple[Fraction, Fraction]]:
    for one in segment.charges:
        if one.charge == charge:
            for line in one.lines:
                yield Fraction(line.quantity), Fraction(line.included)


def _notice(threshold: Threshold, total: Total) -> rated.ThresholdNotice:
    return rated.ThresholdNotice(
        id=f"{total.subscription}/{total.period.start}/{threshold.text}",
        subscription=total.subscription,
        customer=total.customer,
        period=total.period,
        threshold=threshold.text,
        charge=threshold.charge,
        percent=None if threshold.percent is None else exact_text(Fraction(threshold.percent)),
        currency=total.currency,
        amount=None if threshold.amount is None else exact_text(Fraction(threshold.amount)),
    )
