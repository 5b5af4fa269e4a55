"""Price models at random, and a pricer that walks every grain of a quantity by itself."""

from collections.abc import Iterator
from fractions import Fraction
from typing import Final

from hypothesis import strategies as st

from schemas.price import Graduated, Package, PerUnit, PriceModel, Tier, Volume

GRAIN: Final = Fraction(1, 4)
"""All bounds, sizes and quantities here are multiples of it, so that a walk can be exact."""


def quarters(least: int, most: int) -> st.SearchStrategy[Fraction]:
    return st.integers(least, most).map(lambda n: n * GRAIN)


def amounts(most: int = 10**6) -> st.SearchStrategy[str]:
    """Texts of prices, down to millionths."""
    return st.integers(0, most).map(lambda n: f"{n // 10**6}.{n % 10**6:06}")


tiers = st.lists(st.integers(1, 40), unique=True, max_size=4).flatmap(
    lambda ends: st.tuples(
        *(
            st.builds(
                lambda end, unit_price, flat: Tier.model_validate(
                    {"unit_price": unit_price, "flat": flat}
                    | ({} if end is None else {"up_to": str(end / 4)})
                ),
                st.just(end),
                amounts(),
                st.just("0") | amounts(),
            )
            for end in (*sorted(ends), None)
        )
    ).map(list)
)
pers = st.sampled_from(["1", "3", "1000", "0.5", "1000000"])


def _tiered(kind: type[Graduated | Volume], name: str) -> st.SearchStrategy[PriceModel]:
    return st.builds(
        lambda tiers, per: kind.model_validate({"model": name, "tiers": tiers, "per": per}), tiers, pers
    )


models: st.SearchStrategy[PriceModel] = st.one_of(
    st.builds(
        lambda price, per: PerUnit.model_validate({"model": "per_unit", "unit_price": price, "per": per}),
        amounts(),
        pers,
    ),
    _tiered(Graduated, "graduated"),
    _tiered(Volume, "volume"),
    st.builds(
        lambda size, price: Package.model_validate(
            {"model": "package", "size": str(size / 4), "unit_price": price}
        ),
        st.integers(1, 20),
        amounts(),
    ),
)


def walked(model: PriceModel, quantity: Fraction) -> Fraction:
    """What a quantity of zero or more costs, grain by grain."""
    grains = int(quantity / GRAIN)
    assert grains * GRAIN == quantity
    if grains == 0:
        return Fraction(0)
    match model:
        case PerUnit():
            return sum(
                (Fraction(model.unit_price) / Fraction(model.per) * GRAIN for _ in range(grains)), Fraction()
            )
        case Package():
            opened = sum(1 for grain in range(grains) if (grain * GRAIN) % Fraction(model.size) == 0)
            return opened * Fraction(model.unit_price)
        case Graduated():
            landed = list(_landed(model.tiers, grains))
            flats = sum(
                (Fraction(tier.flat) for tier in model.tiers if any(tier is one for one in landed)),
                Fraction(),
            )
            return flats + sum(
                (Fraction(tier.unit_price) * GRAIN / Fraction(model.per) for tier in landed), Fraction()
            )
        case Volume():
            *_, last = _landed(model.tiers, grains)
            return Fraction(last.flat) + grains * GRAIN * Fraction(last.unit_price) / Fraction(model.per)


def _landed(tiers: list[Tier], grains: int) -> Iterator[Tier]:
    """The tier of each grain: the first whose end is not passed once the grain is used."""
    for used in range(1, grains + 1):
        yield next(tier for tier in tiers if tier.up_to is None or used * GRAIN <= Fraction(tier.up_to))
