"""How a version differs from the one before: line by line, in units and money."""

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from typing import Final, NamedTuple, TypeAlias

from aggregator.rating.amounts import exact_text, from_text
from schemas import rated

_GroupKey: TypeAlias = tuple[tuple[str, bool, str], ...]


class _Key(NamedTuple):
    """What makes two lines of two versions the same one; sorts like the lines of a document."""

    segment: str
    charge: str  # empty: the plan's own minimum or maximum
    kind: str
    is_other: bool
    group: _GroupKey


class _Worth(NamedTuple):
    quantity: Fraction
    unrounded_amount: Fraction
    amount: Fraction


_NOTHING: Final = _Worth(Fraction(0), Fraction(0), Fraction(0))


def difference(
    before: rated.RatedTotal,
    segments: Sequence[rated.Segment],
    unpriced: Sequence[rated.UnpricedLine],
    amount: Fraction,
) -> rated.Difference | None:
    """How segments, unpriced lines and amount differ from a version; None if in no quantity and no amount.

    A line that only one of them has counts as zero in the other. What an event adds to a line's events alone
    is no difference.
    """
    old = dict(_lines(before.segments, before.unpriced))
    new = dict(_lines(segments, unpriced))
    changed = [
        (key, _minus(new.get(key, _NOTHING), old.get(key, _NOTHING)))
        for key in sorted(old.keys() | new.keys())
        if new.get(key, _NOTHING) != old.get(key, _NOTHING)
    ]
    by_amount = amount - from_text(before.amount)
    if not changed and not by_amount:
        return None
    return rated.Difference(
        amount=exact_text(by_amount), lines=[_line_difference(key, worth) for key, worth in changed]
    )


def _lines(
    segments: Iterable[rated.Segment], unpriced: Iterable[rated.UnpricedLine]
) -> Iterator[tuple[_Key, _Worth]]:
    for segment in segments:
        for charge in segment.charges:
            for line in charge.lines:
                key = _Key(segment.start, charge.charge, line.kind, line.is_other, _group_key(line.group))
                yield key, _Worth(*map(from_text, (line.quantity, line.unrounded_amount, line.amount)))
            yield from _bounds(segment.start, charge.charge, charge.bounds)
        yield from _bounds(segment.start, "", segment.bounds)
    for free in unpriced:
        key = _Key(free.segment, free.charge, "unpriced", free.is_other, _group_key(free.group))
        yield key, _Worth(from_text(free.quantity), Fraction(0), Fraction(0))


def _bounds(segment: str, charge: str, bounds: Iterable[rated.Bound]) -> Iterator[tuple[_Key, _Worth]]:
    for bound in bounds:
        worth = _Worth(Fraction(0), from_text(bound.unrounded_amount), from_text(bound.amount))
        yield _Key(segment, charge, bound.kind, is_other=False, group=()), worth


def _minus(one: _Worth, other: _Worth) -> _Worth:
    return _Worth(*(a - b for a, b in zip(one, other, strict=True)))


def _line_difference(key: _Key, worth: _Worth) -> rated.LineDifference:
    return rated.LineDifference(
        segment=key.segment,
        charge=key.charge or None,
        kind=key.kind,  # type: ignore[arg-type] # as the documents have it
        group=None if key.is_other else {name: text if has else None for name, has, text in key.group},
        is_other=key.is_other,
        quantity=exact_text(worth.quantity),
        amount=exact_text(worth.amount),
    )


def _group_key(group: rated.Group | None) -> _GroupKey:
    return tuple(sorted((name, value is not None, value or "") for name, value in (group or {}).items()))
