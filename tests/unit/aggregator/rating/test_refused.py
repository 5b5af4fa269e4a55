"""The money at risk in quarantine, against a plain loop over what each record says."""

from collections import defaultdict
from collections.abc import Sequence
from fractions import Fraction

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from unit.aggregator.rating.test_unrated import plan

from aggregator.backdating import BackdatedVersion
from aggregator.catalog import compile_catalog
from aggregator.rating.meters import timelines
from aggregator.rating.refused import Money, Quantity, RefusedUsage, would_be
from aggregator.rating.terms import PlanVersion, Span
from aggregator.store.load import StoredCatalog, StoredMeterVersion
from schemas.catalog import load_catalog
from schemas.codes import Code
from schemas.wire import Event, Refusal, Void

METERS = """
meters:
  - {name: tokens, event_type: call, aggregation: sum, value: n, group_by: [model], window: 1h, grace: 0s}
  - {name: calls, event_type: call, aggregation: count, window: 1h, grace: 0s}
  - {name: peak, event_type: call, aggregation: max, value: n, window: 1h, grace: 0s}
"""
VERSIONS = [
    StoredMeterVersion(number, meter.name, 1, meter.definition(), None, retired=False)
    for number, meter in enumerate(load_catalog(METERS, "m").meters or [], start=1)
]
CATALOG = compile_catalog(StoredCatalog(1, VERSIONS))
TIMELINES = timelines(VERSIONS)
PLAN = plan(
    {
        "meter": "tokens",
        "group_by": ["model"],
        "price": {"model": "graduated", "tiers": [{"up_to": 10, "unit_price": 3}, {"unit_price": 2}]},
    }
)
Said = tuple[str, str, int | None]  # subject, model, n


def event(subject: str, model: str, n: int | None) -> Event:
    return Event("1", "/s", "call", subject, 0, {"model": model, "n": n}, msgspec.Raw(b"{}"))


@given(
    st.lists(
        st.tuples(st.sampled_from("ab"), st.sampled_from("xy"), st.one_of(st.none(), st.integers(0, 20)))
    ),
    st.integers(0, 3),
)
def test_what_can_be_read_is_priced_and_the_rest_is_told(said: Sequence[Said], broken: int) -> None:
    usage = RefusedUsage()
    for one in said:
        usage.add(would_be(event(*one), None, CATALOG, TIMELINES))
    for _ in range(broken):
        usage.add(would_be(Refusal(Code.NOT_JSON, "x"), None, CATALOG, TIMELINES))
    spans = {"p": [Span(None, None, PlanVersion(1, 1, None, retired=False, terms=PLAN))]}
    found = usage.at_risk(spans, None, unread=2)

    units: dict[tuple[str, str], int] = defaultdict(int)
    for subject, model, n in said:
        if n is not None:
            units[subject, model] += n
    cost = sum(3 * min(n, 10) + 2 * max(n - 10, 0) for n in units.values())
    read = [n for _, _, n in said if n is not None]
    assert found.money == ([Money("EUR", Fraction(cost), Fraction(cost))] if read else [])
    calls = [Quantity("calls", len(said), Fraction(len(said)))] if said else []
    tokens = [Quantity("tokens", len(read), Fraction(sum(read)))] if read else []
    assert found.quantities == calls + tokens
    unread = [n for _, _, n in said if n is None]
    assert found.not_estimated == broken + 2 + len(unread)


def test_what_one_meter_could_not_read_is_read_by_its_newest_version() -> None:
    newer = BackdatedVersion(9, "tokens", 2, {**VERSIONS[0].definition, "value": "m"}, 1_000, retired=False)
    versions = [*VERSIONS, newer]
    catalog = compile_catalog(StoredCatalog(2, versions))
    failed = Event("1", "/s", "call", "a", 0, {"model": "x", "m": 7}, msgspec.Raw(b"{}"))
    (read,) = would_be(failed, 1, catalog, timelines(versions))
    assert (read.whose, read.quantity, read.groups) == (("tokens", "a"), 7, (("model", "x"),))
    assert would_be(failed, 1, CATALOG, TIMELINES) == []


def test_what_would_be_taken_back_is_no_money_at_risk() -> None:
    void = event("a", "x", 1)
    void.control = Void("v", "/s", 0)
    assert would_be(void, None, CATALOG, TIMELINES) == []
