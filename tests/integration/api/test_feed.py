"""The feed over HTTP: every entry once and in order, whoever writes meanwhile."""

import asyncio
import json
import random

from integration.api.fixtures import Api, problem
from integration.store.conftest import Connect
from integration.store.counting import Store

from aggregator.access import Scope
from aggregator.store import feed
from aggregator.store.connection import Connection
from aggregator.store.feed import Kind, News


def news(name: str, customer: str = "acme", kind: Kind = "rated_total") -> News:
    return News(kind, name, customer, f"{customer}-pro", json.dumps({"id": name, "customer": customer}))


async def told(connection: Connection, *entries: News) -> None:
    async with connection.transaction():
        await feed.append(connection, entries)


async def test_every_version_is_read_once_and_in_order_while_writers_commit(
    api: Api, store: Store, connected: Connect
) -> None:
    """Writers take positions, linger, commit or roll back; a reader that always goes on misses nothing."""
    token = await api.token(scopes=frozenset({Scope.FEED_READ}))
    written: list[str] = []
    random_ = random.Random(4)

    async def write(name: str) -> None:
        connection = await connected(role="metering_worker")
        for number in range(40):
            one = f"{name}-{number}"
            transaction = connection.transaction()
            await transaction.start()
            positions = await feed.append(
                connection, [news(one), news(f"{one}-t", kind="threshold"), news(f"{one}b")]
            )
            assert len(positions) == 3
            await asyncio.sleep(random_.random() / 200)
            if random_.random() < 0.3:
                await transaction.rollback()
            else:
                written.extend([one, f"{one}b"])
                await transaction.commit()

    writers = asyncio.gather(*(write(f"w{number}") for number in range(4)))
    seen: list[str] = []
    after: dict[str, str] = {}
    is_last = False
    while not is_last:
        is_last = writers.done()
        page = await api.read("/v1/rated-totals", token, limit=7, **after)
        while page["data"]:
            seen += [one["id"] for one in page["data"]]
            after = {"after": page["next_cursor"]}
            page = await api.read("/v1/rated-totals", token, limit=7, **after)
        after = {"after": page["next_cursor"]}
    await writers
    assert len(seen) == len(set(seen))
    assert set(seen) == set(written)
    order = await store.owner.fetch("SELECT id FROM feed WHERE kind = 'rated_total' ORDER BY position")
    assert seen == [row["id"] for row in order]
    assert await store.owner.fetchval(
        "SELECT count(*) = max(position) FROM feed"
    )  # and no position is left out


async def test_a_token_sees_its_customers_news_alone(api: Api) -> None:
    await told(api.owner, news("1"), news("2", "umbrella"), news("3"), news("4", "umbrella", "threshold"))
    everybody, acme, umbrella = await api.token(), await api.token("acme"), await api.token("umbrella")
    both, nobody = await api.token("acme", "umbrella"), await api.token("initech")
    for token, totals, thresholds in (
        (everybody, ["1", "2", "3"], ["4"]),
        (both, ["1", "2", "3"], ["4"]),
        (acme, ["1", "3"], []),
        (umbrella, ["2"], ["4"]),
        (nobody, [], []),
    ):
        for path, wanted in (("/v1/rated-totals", totals), ("/v1/thresholds", thresholds)):
            page = await api.read(path, token)
            assert [one["id"] for one in page["data"]] == wanted
            again = await api.read(path, token, after=page["next_cursor"])
            assert again == {"data": [], "next_cursor": page["next_cursor"]}


async def test_a_cursor_goes_on_behind_what_a_token_does_not_see(api: Api) -> None:
    acme = await api.token("acme")
    cursor = (await api.read("/v1/rated-totals", acme))["next_cursor"]
    await told(api.owner, *(news(f"u{number}", "umbrella") for number in range(5)), news("mine"))
    page = await api.read("/v1/rated-totals", acme, after=cursor, limit=1)
    assert [one["id"] for one in page["data"]] == ["mine"]
    await told(api.owner, news("mine too"))
    page = await api.read("/v1/rated-totals", acme, after=page["next_cursor"], limit=1)
    assert [one["id"] for one in page["data"]] == ["mine too"]


async def test_a_cursor_from_the_future_is_refused_rather_than_waited_for(api: Api) -> None:
    """After a restore the feed is shorter: its next positions would hide from that reader."""
    await told(api.owner, news("1"), news("2"))
    token = await api.token()
    ahead = (await api.read("/v1/rated-totals", token))["next_cursor"]
    await api.owner.execute("ALTER TABLE feed DISABLE TRIGGER append_only")
    await api.owner.execute("DELETE FROM feed WHERE position = 2; UPDATE feed_head SET position = 1")
    problem(await api.get("/v1/rated-totals", token, after=ahead), 400, "invalid_cursor")
    for wrong in ("", "1", ahead[:-2] + "xx"):
        problem(await api.get("/v1/rated-totals", token, after=wrong), 400, "invalid_cursor")


async def test_payloads_are_sent_as_they_are_kept(api: Api) -> None:
    payload = '{"b": 1.10,  "a":"é"}'
    await told(api.owner, News("rated_total", "x", "acme", "acme-pro", payload))
    response = await api.get("/v1/rated-totals", await api.token())
    assert payload.encode() in response.content
