"""Facts of a window or a row beside one, as small JSON: long lists by their number and digest."""

from collections.abc import Mapping
from decimal import Decimal, localcontext
from fractions import Fraction
from hashlib import sha256
from typing import Any, Final

from metering.explain.facts import Facts
from schemas.number import EXACT, plain_text

_LISTS: Final = ("members", "points")


def summary(facts: Facts | None) -> dict[str, Any] | None:
    """Two summaries are equal if and only if the facts are, as far as SHA-256 can tell."""
    if facts is None:
        return None
    return {name: _listed(value) if name in _LISTS else _scalar(value) for name, value in facts.items()}


def _listed(values: Any) -> Mapping[str, Any] | None:  # noqa: ANN401 - of members or of points
    if not values:
        return None
    text = "\n".join(repr(_scalar(value)) for value in values)
    return {"count": len(values), "sha256": sha256(text.encode()).hexdigest()}


def _scalar(value: Any) -> Any:  # noqa: ANN401 - a fact
    match value:
        case Fraction():
            return _decimal(value)
        case tuple() | list():
            return [_scalar(one) for one in value]
        case _:
            return value


def _decimal(value: Fraction) -> str:
    """As a person writes it into a statement: what is added up of decimals is one."""
    with localcontext(EXACT):
        return plain_text(Decimal(value.numerator) / value.denominator)
