"""The console as somebody on call sees it: logged in, on the pages that tell how things stand."""

import asyncio
from typing import Any, Final
from urllib.parse import urlencode

import requests
from integration.api.visitor import HTML, OWN_FORM, text_of

PAGES: Final = ("/", "/findings")
_ANSWER_S: Final = 120


class Console:
    """A session with one API."""

    def __init__(self, port: int) -> None:
        self._address = f"http://127.0.0.1:{port}"
        self._session = requests.Session()

    async def log_in(self, token: str) -> None:
        """Show the token, once."""
        form = urlencode({"token": token})
        answer = await self._ask("POST", "/login", headers=OWN_FORM, data=form, allow_redirects=False)
        assert answer.status_code == 303, answer.text

    async def text(self) -> str:
        """What its pages say now, also if that is that a server is away."""
        answers = [await self._ask("GET", page, headers=HTML) for page in PAGES]
        return " ".join(text_of(answer.text) for answer in answers)

    async def _ask(self, method: str, path: str, **options: Any) -> requests.Response:
        return await asyncio.to_thread(
            self._session.request, method, f"{self._address}{path}", timeout=_ANSWER_S, **options
        )
