"""A browser without a screen: it logs in through the form, and reads pages."""

from dataclasses import dataclass
from html.parser import HTMLParser
from urllib.parse import urlencode

import requests
from integration.api.fixtures import Api

HTML = {"Accept": "text/html"}
OWN_FORM = {
    **HTML,
    "Content-Type": "application/x-www-form-urlencoded",
    "Sec-Fetch-Site": "same-origin",
}


@dataclass(frozen=True)
class Visitor:
    """Somebody with a session."""

    api: Api
    cookie: str

    async def get(self, path: str, **parameters: str) -> requests.Response:
        return await self.api.get(path, headers={**HTML, "Cookie": self.cookie}, **parameters)

    async def page(self, path: str, **parameters: str) -> str:
        """What a page says, as text."""
        response = await self.get(path, **parameters)
        assert response.status_code == 200, response.text
        return text_of(response.text)


async def send_form(
    api: Api, path: str, headers: dict[str, str] | None = None, **fields: str
) -> requests.Response:
    return await api.ask("POST", path, headers=headers or OWN_FORM, data=urlencode(fields).encode())


async def visit(api: Api, token: str) -> Visitor:
    """Log in."""
    response = await send_form(api, "/login", token=token)
    assert response.status_code == 303, response.text
    return Visitor(api, response.headers["set-cookie"].partition(";")[0])


class _Text(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []

    def handle_data(self, data: str) -> None:
        self.said.append(data)


def text_of(html: str) -> str:
    """The words of a page, with single spaces between them."""
    reader = _Text()
    reader.feed(html)
    return " ".join(" ".join(reader.said).split())
