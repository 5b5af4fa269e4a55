"""The console in a real Chromium: by keyboard, with and without a script, in the light and in the dark."""

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from integration.api.browsing import Scheme, go, opened
from integration.api.fixtures import Api
from integration.api.test_rated import rated_twice
from integration.rating.world import PARTITIONS, World
from playwright.async_api import Browser, expect
from support.topics import create_topic, delete_topics

TOPIC = "usage.events"


@pytest_asyncio.fixture
async def api_settings(kafka_bootstrap: str) -> AsyncIterator[dict[str, Any]]:
    await create_topic(kafka_bootstrap, TOPIC, partitions=PARTITIONS)
    yield {"kafka_bootstrap_servers": kafka_bootstrap}
    await delete_topics(kafka_bootstrap, [TOPIC])


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_from_a_token_to_what_lies_behind_a_bill_by_keyboard(
    rated_api: Api, rated_world: World, browser: Browser, scheme: Scheme, tmp_path: Path
) -> None:
    await rated_twice(rated_world)
    script = scheme == "dark"  # so each is seen with and without
    page, complaints = await opened(browser, rated_api, scheme, script=script)

    async def photograph(name: str) -> None:
        await page.screenshot(path=tmp_path / f"{name}-{scheme}.png", full_page=True)

    await page.goto("/customers")
    await photograph("login")
    complaints.clear()  # the status 401
    await page.get_by_label("Token of the HTTP API").focus()
    await page.keyboard.type(await rated_api.token())
    await page.keyboard.press("Enter")
    await expect(page).to_have_url(re.compile("/customers$"))

    await page.keyboard.press("Tab")
    await expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    await page.get_by_label("Part of a customer").focus()
    await page.keyboard.type("acme-eu")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("rowheader")).to_have_text(["acme"])
    await photograph("customers")
    await go(page, "acme")

    await expect(page.get_by_role("img", name="tokens of acme-eu")).to_be_visible()
    await go(page, "The same as a table")
    await expect(page.get_by_role("row", name="2026-03-02T01:00:00Z 2500 2 1 final")).to_be_visible()
    await photograph("customer")
    await go(page, "2026-03-02T00:00:00Z")

    await expect(page.get_by_role("heading", level=1)).to_have_text("6 EUR")
    await photograph("rated-total")
    await go(page, "What lies behind it")
    await expect(page.get_by_text("metering explain acme-pro/2026-03-02T00:00:00Z/2")).to_be_visible()
    await photograph("explain")

    await go(page, "Status")
    await expect(page.get_by_role("heading", level=1)).to_have_text("Status")
    await photograph("status")
    await expect(page.get_by_role("rowheader", name="tokens")).to_be_visible()
    await go(page, "Log out")
    await expect(page.get_by_label("Token of the HTTP API")).to_be_visible()
    assert complaints == []
    background = await page.evaluate("getComputedStyle(document.body).backgroundColor") if script else None
    assert background in (None, "rgb(18, 22, 28)")


async def test_what_happens_is_shown_without_losing_the_place(
    rated_api: Api, rated_world: World, browser: Browser
) -> None:
    page, complaints = await opened(browser, rated_api, "light", script=True)
    await page.goto("/")
    await page.get_by_label("Token of the HTTP API").fill(await rated_api.token())
    complaints.clear()
    await page.keyboard.press("Enter")
    pause = page.get_by_role("link", name="Pause")
    await pause.focus()
    partitions = page.get_by_role("region", name=f"Partitions of {TOPIC}")
    await expect(partitions.get_by_role("row").nth(1)).to_contain_text("ok")
    rated_world.advance(60)
    rated_world.event("acme-eu", {"n": 1500, "model": "large"})
    rated_world.tick()
    await rated_world.count_close_rate()
    await expect(page.get_by_role("status")).to_contain_text("rewound")  # counted, though the log is empty
    await expect(pause).to_be_focused()

    old = page.get_by_role("alert")
    await expect(old).to_be_hidden()
    await page.context.set_offline(True)
    await expect(old).to_contain_text("These numbers are old")
    await page.context.set_offline(False)
    await expect(old).to_be_hidden()
    complaints.clear()  # the network that was away
    await pause.press("Enter")
    await expect(page.get_by_role("link", name="Refresh again by itself")).to_be_visible()
    assert complaints == []
