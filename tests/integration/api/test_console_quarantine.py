"""Quarantine on the console: seen safely, and decided in two steps by who may."""

import re
from html.parser import HTMLParser
from urllib.parse import urlencode

import pytest_asyncio
import requests
from integration.api.fixtures import Api
from integration.api.refused import HOSTILE, decided, on_their_way, refuse, refuse_one_more
from integration.api.visitor import HTML, OWN_FORM, Visitor, text_of, visit
from integration.rating.world import World

from aggregator.access import Scope


@pytest_asyncio.fixture
async def world(rated_world: World) -> World:
    await refuse(rated_world)
    return rated_world


class _Fields(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.hidden: dict[str, str] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag == "input" and values.get("type") == "hidden":
            self.hidden[values["name"] or ""] = values["value"] or ""


def hidden_fields(html: str) -> dict[str, str]:
    reader = _Fields()
    reader.feed(html)
    return reader.hidden


async def send(visitor: Visitor, path: str, **fields: str) -> requests.Response:
    headers = {**OWN_FORM, "Cookie": visitor.cookie}
    return await visitor.api.ask("POST", path, headers=headers, data=urlencode(fields).encode())


async def test_it_is_decided_in_two_steps_and_once(rated_api: Api, world: World) -> None:
    visitor = await visit(rated_api, await rated_api.token())
    response = await visitor.get("/quarantine")
    link = re.search(r'href="(/quarantine/redrive\?[^"]*in_future[^"]*)"', response.text)
    assert link, response.text
    assert "in_future" in await visitor.page(link[1].replace("&amp;", "&"))

    first = await visitor.get("/quarantine/redrive", code="in_future")
    said = text_of(first.text)
    assert "This would re-drive 2 records, worth an estimated 4.03 EUR." in said
    assert "Nothing was decided yet." in said
    assert await decided(world) == []
    fields = hidden_fields(first.text)
    assert fields["code"] == "in_future"
    await refuse_one_more(world)

    done = await send(visitor, "/quarantine/redrive", reason="the clock is mended", **fields)
    assert "2 records were re-driven, worth an estimated 4.03 EUR." in text_of(done.text)
    again = await send(visitor, "/quarantine/redrive", reason="the clock is mended", **fields)
    assert "0 records were re-driven." in text_of(again.text)
    assert await on_their_way(world) == 2
    assert {(who.split()[-1], what, why) for who, what, why in await decided(world)} == {
        ("(tests)", "quarantine.redrive", "the clock is mended")
    }


async def test_what_cannot_come_back_is_named_and_may_be_discarded(rated_api: Api, world: World) -> None:
    visitor = await visit(rated_api, await rated_api.token())
    said = await visitor.page("/quarantine/redrive", code="value_missing")
    assert "There is nothing that could be re-driven." in said
    assert "too old to repair 1" in said
    asked = await visitor.get("/quarantine/discard", code="value_missing")
    assert "This would discard 1 record." in text_of(asked.text)
    done = await send(visitor, "/quarantine/discard", reason="a test", **hidden_fields(asked.text))
    assert "1 record was discarded." in text_of(done.text)
    assert [what for _, what, _ in await decided(world)] == ["quarantine.discard"]


async def test_without_a_reason_nothing_is_decided(rated_api: Api, world: World) -> None:
    visitor = await visit(rated_api, await rated_api.token())
    for reason, objection in (
        ("  ", "Give a reason"),
        ("x" * 1001, "at most 1000 characters"),
        ("a\0b", "without U+0000"),
    ):
        response = await send(visitor, "/quarantine/redrive", code="in_future", reason=reason)
        assert response.status_code == 422
        assert objection in text_of(response.text)
        assert "This would re-drive 2 records" in text_of(response.text)
    for wrong in ({"code": "nothing"}, {"partition": "x"}, {"after": "1/2"}, {"more": "1"}):
        assert (await send(visitor, "/quarantine/redrive", reason="x", **wrong)).status_code == 400
    many = {f"a{number}": "1" for number in range(50)}
    assert (await send(visitor, "/quarantine/redrive", reason="x", **many)).status_code == 400
    assert await decided(world) == []


async def test_a_decision_of_another_site_or_without_the_scope_is_refused(
    rated_api: Api, world: World
) -> None:
    token = await rated_api.token()
    visitor = await visit(rated_api, token)
    body = urlencode({"reason": "x"}).encode()
    for site in ("cross-site", "same-site", "none"):
        headers = {**OWN_FORM, "Sec-Fetch-Site": site, "Cookie": visitor.cookie}
        for action in ("redrive", "discard"):
            response = await rated_api.ask("POST", f"/quarantine/{action}", headers=headers, data=body)
            assert response.status_code == 400
    bearer = await rated_api.ask("POST", "/quarantine/redrive", token, headers=OWN_FORM, data=body)
    assert bearer.status_code == 401  # a token by itself is none of a browser's sessions
    looks = await visit(rated_api, await rated_api.token(scopes=frozenset({Scope.STATUS_READ})))
    for action in ("redrive", "discard"):
        assert (await looks.get(f"/quarantine/{action}")).status_code == 403
        response = await send(looks, f"/quarantine/{action}", reason="x")
        assert "This needs the scope quarantine:write." in text_of(response.text)
    listed = await looks.get("/quarantine")
    assert "/quarantine/redrive" not in listed.text
    assert "This token may not decide" in text_of(listed.text)
    assert await decided(world) == []
    assert (await rated_api.get("/quarantine/redrive", headers=HTML)).status_code == 401


async def test_a_record_is_shown_as_it_was_sent_and_does_nothing(rated_api: Api, world: World) -> None:
    row = await world.connection.fetchrow(
        "SELECT partition, record_offset FROM quarantine WHERE subject = 'umbrella'"
    )
    path = f"/quarantine/{row['partition']}/{row['record_offset']}"
    visitor = await visit(rated_api, await rated_api.token())
    response = await visitor.get(path)
    assert "<script>" not in response.text
    assert HOSTILE[-1] not in response.text
    said = text_of(response.text)
    assert '"model": "<script>alert(1)</script>\\u202e"' in said
    assert "in_future" in said
    assert "What was decided" not in said
    partition, offset = str(row["partition"]), str(row["record_offset"])
    await send(visitor, "/quarantine/redrive", partition=partition, offset=offset, reason=HOSTILE)
    response = await visitor.get(path)
    assert "<script>" not in response.text
    assert "What was decided When What By Reason Published to" in text_of(response.text)
    assert "not yet" in text_of(response.text)
    looks = await visit(rated_api, await rated_api.token(scopes=frozenset({Scope.STATUS_READ})))
    said = await looks.page(path)
    assert "alert(1)" not in said.replace(HOSTILE, "")
    assert "quarantine:write" in said
    for nothing in ("/quarantine/0/99999", "/quarantine/99/0"):
        assert (await visitor.get(nothing)).status_code == 404
    for wrong in ("/quarantine/x/0", f"/quarantine/0/{2**63}"):
        assert (await visitor.get(wrong)).status_code == 400


async def test_only_whoever_a_group_is_of_is_listed(rated_api: Api, world: World) -> None:
    assert world
    visitor = await visit(rated_api, await rated_api.token())
    said = await visitor.page("/quarantine", code="value_missing")
    assert "Only what was refused as value_missing ." in said
    assert "umbrella" not in said
    assert "Nothing is in quarantine." in await visitor.page("/quarantine", source="/nobody")
