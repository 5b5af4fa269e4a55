"""Every page of the console for everybody: as axe sees it, by keyboard, narrow and wide, light and dark."""

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from integration.api.browsing import NARROW, WIDE, Scheme, faults, go, log_in, opened
from integration.api.fixtures import Api
from integration.api.refused import decided, refuse
from integration.api.test_rated import START, rated_twice
from integration.rating.world import PARTITIONS, World
from playwright.async_api import Browser, expect
from support.topics import create_topic, delete_topics

from aggregator.health.finding import Finding, Kind
from aggregator.store import proof

TOPIC = "usage.events"
PATHS = {
    "status": "/?paused=true",
    "findings": "/findings",
    "quarantine": "/quarantine",
    "redrive": "/quarantine/redrive?code=in_future",
    "discard": "/quarantine/discard?code=value_missing",
    "nothing": "/quarantine/redrive?code=not_json",
    "customers": "/customers",
    "customer": "/customers/acme",
    "rated": f"/rated-totals/acme-pro/{START}/2",
    "explain": f"/rated-totals/acme-pro/{START}/2/explain",
    "problem": "/customers/nobody",
}


@pytest_asyncio.fixture
async def api_settings(kafka_bootstrap: str) -> AsyncIterator[dict[str, Any]]:
    await create_topic(kafka_bootstrap, TOPIC, partitions=PARTITIONS)
    yield {"kafka_bootstrap_servers": kafka_bootstrap}
    await delete_topics(kafka_bootstrap, [TOPIC])


@pytest_asyncio.fixture
async def world(rated_world: World) -> World:
    """Something on every page."""
    await rated_twice(rated_world)
    await refuse(rated_world)
    finding = Finding(Kind.TOTALS, "Windows do not re-add.", {"partition": 0}, {}, {})
    await proof.keep(rated_world.connection, [proof.Proof("windows", 1200, 1, 0, [finding])])
    return rated_world


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_nobody_is_shut_out_of_a_page(
    rated_api: Api, world: World, browser: Browser, scheme: Scheme, tmp_path: Path
) -> None:
    viewport = NARROW if scheme == "light" else WIDE
    page, _ = await opened(browser, rated_api, scheme, script=True, viewport=viewport)
    found = []

    async def look(name: str) -> None:
        await page.screenshot(path=tmp_path / f"{name}-{scheme}-{viewport['width']}.png", full_page=True)
        found.extend(await faults(page))

    await page.goto("/quarantine")
    await look("login")
    await page.get_by_label("Token of the HTTP API").fill("wrong")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("alert")).to_be_visible()
    await look("login-refused")
    await log_in(page, await rated_api.token(), "/quarantine")
    row = await world.connection.fetchrow(
        "SELECT partition, record_offset FROM quarantine WHERE subject = 'umbrella'"
    )
    record = f"/quarantine/{row['partition']}/{row['record_offset']}"
    for name, path in {**PATHS, "record": record}.items():
        await page.goto(path)
        await look(name)
    await page.goto("/customers/acme")
    await page.get_by_text("The same as a table").first.click()
    await look("customer-table")
    assert found == []


async def test_what_was_refused_is_brought_back_by_keyboard_alone(
    rated_api: Api, world: World, browser: Browser
) -> None:
    page, complaints = await opened(browser, rated_api, "dark", script=False)
    await log_in(page, await rated_api.token(), "/quarantine")
    complaints.clear()  # the status 401
    await go(page, "Skip to content")
    await expect(page.locator("main")).to_be_focused()
    await go(
        page, await page.get_by_role("link", name="Re-drive in_future").first.get_attribute("aria-label")
    )
    await expect(page.get_by_role("status")).to_contain_text("This would re-drive")
    await go(page, await page.get_by_role("button", name="Re-drive").inner_text())
    # without a reason the browser asks for one
    await expect(page.get_by_label("Reason")).to_be_focused()
    assert await decided(world) == []
    await page.keyboard.type("the clock is mended")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("status")).to_contain_text("re-driven, worth an estimated")
    assert {action for _, action, _ in await decided(world)} == {"quarantine.redrive"}
    await go(page, "Back to the quarantine")
    await expect(page).to_have_url(re.compile("/quarantine$"))
    await expect(page.get_by_role("region", name="Groups")).to_contain_text("in_future")
    assert complaints == []
