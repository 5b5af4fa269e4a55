"""What tests do with a page in a real browser."""

import re
from typing import Literal

import pytest
from axe_playwright_python.async_playwright import Axe
from integration.api.fixtures import Api
from playwright.async_api import Browser, Page, ViewportSize, expect

expect.set_options(timeout=30_000)  # the status asks anew every five seconds, on a machine that may be busy

Scheme = Literal["light", "dark"]

WIDE: ViewportSize = {"width": 1100, "height": 800}
NARROW: ViewportSize = {"width": 390, "height": 844}

_RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
_TABS = 60


async def opened(
    browser: Browser, api: Api, scheme: Scheme, *, script: bool, viewport: ViewportSize = WIDE
) -> tuple[Page, list[str]]:
    """A page that remembers whatever it complains about: errors, and what its policy forbids."""
    context = await browser.new_context(
        base_url=api.url, color_scheme=scheme, java_script_enabled=script, viewport=viewport
    )
    page = await context.new_page()
    page.set_default_timeout(20_000)
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(f"{error}"))
    page.on(
        "console",
        lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None,
    )
    return page, complaints


async def log_in(page: Page, token: str, path: str) -> None:
    """By keyboard, through the form."""
    await page.goto(path)
    await page.get_by_label("Token of the HTTP API").focus()
    await page.keyboard.type(token)
    await page.keyboard.press("Enter")
    await expect(page).to_have_url(re.compile(f"{re.escape(path)}$"))


async def go(page: Page, name: str | None) -> None:
    """Press Tab until the link or button of this name has the focus, and is seen to; then Enter."""
    for _ in range(_TABS):
        await page.keyboard.press("Tab")
        focused = page.locator(":focus")
        if not await focused.count():
            continue
        if name in ((await focused.inner_text()).strip(), await focused.get_attribute("aria-label")):
            await page.keyboard.press("Enter")
            return
    pytest.fail(f"no Tab leads to {name}")


async def faults(page: Page) -> list[str]:
    """What axe finds wrong with a page, and whether it is wider than its window."""
    found = await Axe().run(page, options={"runOnly": _RULES})
    said = [
        f"{page.url}: {one['id']}: {one['help']}: {', '.join(node['html'] for node in one['nodes'])}"
        for one in found.response["violations"]
    ]
    if await page.evaluate("document.documentElement.scrollWidth > window.innerWidth"):
        said.append(f"{page.url}: wider than its window")
    return said
