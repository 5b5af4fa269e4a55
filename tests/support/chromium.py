"""A real Chromium for tests, whichever this machine has: Playwright drives it and downloads none."""

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from playwright.async_api import Browser, async_playwright

NAMES: Final = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
ABSENT: Final = f"The console was NOT tested in a browser: none of {', '.join(NAMES)} is in PATH."


def executable() -> str | None:
    """Where it is; None: there is none."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


def is_required() -> bool:
    """Whether a run without one is a failure."""
    return bool(os.environ.get("CI"))


@asynccontextmanager
async def chromium(path: str) -> AsyncIterator[Browser]:
    """Start it without a screen; without its sandbox too, for tests may run as root."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield browser
        await browser.close()
