"""The benches check every total themselves; here they do so at a size that takes seconds."""

import sys
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace

import asyncpg
import pytest
import pytest_asyncio
from rich.console import Console
from support.stack import Stack, directory
from support.topics import unique_name

sys.path.append(str(Path(__file__).parents[3] / "load"))

import rating
import reading
from billing_workload import Billing, name
from counting import WrongTotalsError
from readers import Latencies
from servers import Servers
from sites import Site


@pytest_asyncio.fixture
async def site(stack: Stack) -> AsyncIterator[Site]:
    """The shared servers, as a bench has its own."""
    connection = await asyncpg.connect(stack.postgres_dsn)
    postgres = SimpleNamespace(dsn=lambda name="postgres": stack.database_dsn(name))
    servers = Servers(SimpleNamespace(address=stack.kafka_bootstrap), postgres)
    with directory() as home:
        yield Site(servers, home, unique_name(), partitions=2, clock="record")
    for made in ("rating", "quiet", "read"):
        await connection.execute(f"DROP DATABASE IF EXISTS {made} WITH (FORCE)")
    await connection.close()


@pytest.mark.timeout(600)
async def test_every_amount_is_right_and_the_last_line_has_its_figures(site: Site) -> None:
    billing = Billing(subscriptions=30, events_each=3, seed=7)
    found = rating.figures(await rating.measure(Console(), site, billing))
    assert found.keys() == {
        "subscriptions",
        "rated_totals_per_s",
        "scheduled_per_s",
        "ms_per_rated_total",
        "sql_share",
        "statements_per_rated_total",
        "wal_bytes_per_rated_total",
        "rss_growth_bytes_per_subscription",
        "ratio_to_bare_insert",
        "apply_s",
    }
    assert found["subscriptions"] == 30
    assert all(value >= 0 for value in found.values())


@pytest.mark.timeout(600)
async def test_what_is_read_is_right_and_the_last_line_has_its_figures(site: Site) -> None:
    billing = Billing(subscriptions=20, events_each=5, seed=7)
    found = reading.figures(await reading.measure(Console(), site, billing, readers=2, round_s=0.05))
    percentiles = {f"{kind}_{figure}_ms" for kind in reading.KINDS for figure in ("p50", "p99")}
    ratios = {"ratio_to_select", "store_ratio_to_select"}
    assert found.keys() == percentiles | ratios | {"events_per_s", "quiet_events_per_s"}
    assert all(value > 0 for value in found.values())
    assert found["provisional_p50_ms"] <= found["provisional_p99_ms"]


@pytest.mark.parametrize(("percent", "ms"), [(1, 1), (50, 2), (51, 3), (75, 3), (76, 4), (99, 4), (100, 4)])
def test_a_percentile_is_the_nearest_rank(percent: int, ms: float) -> None:
    assert Latencies([1, 2, 3, 4]).percentile(percent) == ms


@pytest.mark.parametrize("wrong", [{name(1): Decimal("0.01")}, {name(1): None}, {name(3): Decimal("1.00")}])
def test_an_amount_that_is_wrong_missing_or_too_many_gives_no_figures(
    wrong: dict[str, Decimal | None],
) -> None:
    billing = Billing(subscriptions=3, events_each=4, seed=7)
    owed = {name(number): billing.amount(number) for number in range(3)}
    rating.check(billing, owed)
    found = {one: amount for one, amount in (owed | wrong).items() if amount is not None}
    with pytest.raises(WrongTotalsError):
        rating.check(billing, found)
