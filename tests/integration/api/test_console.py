"""The console's door: who gets in, for how long, and what a browser is told to keep from others."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from integration.api.conftest import serving
from integration.api.fixtures import Api, Observed
from integration.api.visitor import HTML, OWN_FORM, Visitor, send_form, text_of, visit
from integration.store.batches import T0, Spoken
from integration.store.conftest import CONTRACT
from integration.store.counting import Store
from support.topics import create_topic, delete_topics

from aggregator import session
from aggregator.access import Scope
from aggregator.health.finding import Finding, Kind
from aggregator.store import proof, tokens
from schemas.instant import HOUR_US, MINUTE_US, format_time

NO_BROKER = "127.0.0.1:1"


@pytest.fixture
def api_settings() -> dict[str, Any]:
    return {"api_requests_per_s": 10_000, "api_burst": 10_000, "kafka_bootstrap_servers": NO_BROKER}


async def test_nobody_sees_anything_without_a_session(api: Api) -> None:
    for cookie in ("", "metering_session=x", f"metering_session={'0' * 12}.9999999999.{'0' * 64}"):
        response = await api.get("/", headers={**HTML, "Cookie": cookie})
        assert response.status_code == 401
        assert "Log in" in text_of(response.text)
        assert 'name="onwards" value="/"' in response.text


async def test_a_token_opens_the_console_and_is_in_no_page_and_no_cookie(api: Api) -> None:
    token = await api.token()
    visitor = await visit(api, token)
    response = await visitor.get("/")
    secret = token.rpartition("_")[2]
    assert "Status" in text_of(response.text)
    assert secret not in response.text + visitor.cookie + str(response.headers)


async def test_a_session_is_a_cookie_that_no_script_and_no_other_site_gets(api: Api) -> None:
    response = await send_form(api, "/login", token=await api.token())
    attributes = {one.strip().lower() for one in response.headers["set-cookie"].split(";")[1:]}
    assert {"httponly", "samesite=strict", "path=/", f"max-age={session.LIFETIME_S}"} <= attributes
    elsewhere = {**OWN_FORM, "Host": "metering.example:8600"}
    response = await send_form(api, "/login", elsewhere, token=await api.token())
    assert "; secure" in response.headers["set-cookie"].lower()


async def test_what_is_no_token_in_force_does_not_get_in(api: Api) -> None:
    ended = await tokens.create(api.owner, "x", [Scope.STATUS_READ], None, lifetime_us=0, who="tests")
    good = await api.token()
    for text in ("", "x", good[:-1], ended.text):
        response = await send_form(api, "/login", token=text)
        assert response.status_code == 401
        assert "This token is not one in force." in text_of(response.text)
        assert "set-cookie" not in response.headers


async def test_a_session_ends_with_its_token(api: Api) -> None:
    issued = await tokens.create(api.owner, "x", [Scope.STATUS_READ], None, lifetime_us=None, who="tests")
    visitor = await visit(api, issued.text)
    assert (await visitor.get("/")).status_code == 503  # there are no brokers, but it was let in
    await tokens.revoke(api.owner, issued.token.token_id, reason="leaked", who="tests")
    assert (await visitor.get("/")).status_code == 401


async def test_a_session_that_somebody_has_changed_is_none(api: Api) -> None:
    visitor = await visit(api, await api.token())
    other = await tokens.create(api.owner, "x", [Scope.STATUS_READ], None, lifetime_us=None, who="tests")
    name, _, text = visitor.cookie.partition("=")
    token_id, end, proof = text.split(".")
    for changed in (f"{token_id}.{int(end) + 1}.{proof}", f"{other.token.token_id}.{end}.{proof}"):
        assert (await Visitor(api, f"{name}={changed}").get("/")).status_code == 401


async def test_a_form_of_another_site_is_refused(api: Api) -> None:
    token = await api.token()
    for headers in (
        {**OWN_FORM, "Sec-Fetch-Site": "cross-site"},
        {**OWN_FORM, "Sec-Fetch-Site": "same-site"},
        {name: text for name, text in OWN_FORM.items() if name != "Sec-Fetch-Site"},
        {**OWN_FORM, "Sec-Fetch-Site": "cross-site", "Origin": api.url},
    ):
        for path in ("/login", "/logout"):
            response = await send_form(api, path, headers, token=token)
            assert response.status_code == 400, headers
            assert "set-cookie" not in response.headers
    old_browser = {name: text for name, text in OWN_FORM.items() if name != "Sec-Fetch-Site"}
    for origin, status in ((api.url, 303), ("https://elsewhere.example", 400), ("null", 400)):
        response = await send_form(api, "/login", {**old_browser, "Origin": origin}, token=token)
        assert response.status_code == status


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        ("/?paused=true", "/?paused=true"),
        ("//elsewhere.example", "/"),
        ("/\\elsewhere.example", "/"),
        ("https://elsewhere.example", "/"),
        ("/\r\nset-cookie: a=b", "/"),
        ("", "/"),
    ],
)
async def test_a_login_leads_nowhere_else(api: Api, asked: str, given: str) -> None:
    response = await send_form(api, "/login", token=await api.token(), onwards=asked)
    assert (response.status_code, response.headers["location"]) == (303, given)


async def test_a_form_that_is_too_large_is_refused(api: Api) -> None:
    assert (await send_form(api, "/login", token="x" * 20_000)).status_code == 413


async def test_who_logs_out_is_out(api: Api) -> None:
    response = await send_form(api, "/logout")
    assert (response.status_code, response.headers["location"]) == (303, "/login")
    assert 'metering_session=""' in response.headers["set-cookie"]
    assert "max-age=0" in response.headers["set-cookie"].lower()


async def test_every_page_forbids_what_it_does_not_need(api: Api) -> None:
    visitor = await visit(api, await api.token())
    for response in (
        await visitor.get("/"),
        await visitor.get("/?paused=perhaps"),
        await api.get("/login", headers=HTML),
        await api.get("/", headers=HTML),
        await api.get("/nothing", headers=HTML),
    ):
        policy = response.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert response.headers["cache-control"] == "no-store"
        assert response.headers["x-content-type-options"] == "nosniff"
        assert " style=" not in response.text
        assert "<script>" not in response.text


async def test_a_scope_that_is_missing_is_named_on_the_page(api: Api) -> None:
    visitor = await visit(api, await api.token("acme"))
    response = await visitor.get("/")
    assert response.status_code == 403
    assert "This needs the scope status:read." in text_of(response.text)


async def test_without_brokers_what_the_database_knows_is_shown_and_the_rest_said(api: Api) -> None:
    response = await (await visit(api, await api.token())).get("/")
    said = text_of(response.text)
    assert response.status_code == 503
    assert "kafka is away." in said
    assert "usage_sum" in said


async def test_who_has_stopped_to_send_is_told(api: Api, store: Store) -> None:
    for minute in range(40):
        said = [Spoken(time_us=T0 + minute * MINUTE_US, source=name) for name in ("/billing", "/orders")]
        heard = said if minute <= 35 else said[:1]
        await store.flush(store.logs[0].batch(heard), store.logs[1].batch(said[:1]))
    page = text_of((await (await visit(api, await api.token())).get("/")).text)
    assert f"/orders has sent nothing since {format_time(T0 + 35 * MINUTE_US)}" in page
    assert "/billing has sent nothing" not in page


class TestWithBrokers:
    @pytest_asyncio.fixture
    async def api_settings(self, kafka_bootstrap: str) -> AsyncIterator[dict[str, Any]]:
        await create_topic(kafka_bootstrap, CONTRACT.name, partitions=CONTRACT.partitions)
        yield {"kafka_bootstrap_servers": kafka_bootstrap}
        await delete_topics(kafka_bootstrap, [CONTRACT.name])

    async def test_status_tells_how_every_partition_and_meter_does(self, api: Api, store: Store) -> None:
        await store.flush(store.logs[0].batch([Spoken(1, "acme", time_us=T0)]))
        visitor = await visit(api, await api.token())
        said = await visitor.page("/")
        assert f"Partitions of {CONTRACT.name}" in said
        assert f"usage_count {format_time(T0)}" in said
        await store.flush(store.logs[0].batch([Spoken(1, "acme", time_us=T0 + HOUR_US)]))
        assert f"usage_count {format_time(T0 + HOUR_US)}" in await visitor.page("/")
        assert "Partitions 0, 1 are rewound" in said  # the log is empty
        for meter in ("usage_sum", "usage_count"):
            assert meter in said
        assert "kafka answers" in said


async def test_quarantine_is_told_by_group_and_for_all_customers_tokens_alone(api: Api, store: Store) -> None:
    hostile = "<b>&"
    await store.flush(
        store.logs[0].batch(
            [
                Spoken(1, "acme", time_us=T0, refused="bad_time"),
                Spoken(1, hostile, time_us=T0, refused="bad_time"),
            ]
        )
    )
    visitor = await visit(api, await api.token())
    said = await visitor.page("/quarantine")
    assert "bad_time 2 Re-drive… Discard…" in said, said
    assert hostile in said
    assert hostile not in (await visitor.get("/quarantine")).text
    looks = await visit(api, await api.token(scopes=frozenset({Scope.STATUS_READ})))
    assert "metering quarantine redrive --code bad_time" in await looks.page("/quarantine")
    assert "Nothing is in quarantine." in await visitor.page("/quarantine", code="not_json")
    assert (await (await visit(api, await api.token("acme"))).get("/quarantine")).status_code == 403


async def test_accuracy_is_a_number_and_what_is_wrong_is_named(api: Api) -> None:
    visitor = await visit(api, await api.token())
    assert "Nothing was proved yet" in text_of((await visitor.get("/")).text)
    finding = Finding(Kind.TOTALS, "Windows do not re-add.", {"partition": 0}, {}, {})
    await proof.keep(api.owner, [proof.Proof("windows", 1200, 1, 0, [finding])])
    said = text_of((await visitor.get("/")).text)
    assert "1 wrong of 1,200 windows" in said
    assert "Windows do not re-add." in said


class TestSeveralProcesses:
    @pytest.fixture
    def api_settings(self) -> dict[str, Any]:
        return {"kafka_bootstrap_servers": NO_BROKER, "api_session_key": "k" * 32}

    async def test_a_session_holds_for_all_that_have_the_same_key(
        self, api: Api, store: Store, observed: Observed, api_settings: dict[str, Any]
    ) -> None:
        visitor = await visit(api, await api.token())
        async with serving(store.dsn, store.schema, store.owner, observed, **api_settings) as second:
            assert (await Visitor(second, visitor.cookie).get("/")).status_code == 503
        with_other_key = {**api_settings, "api_session_key": "l" * 32}
        async with serving(store.dsn, store.schema, store.owner, observed, **with_other_key) as third:
            assert (await Visitor(third, visitor.cookie).get("/")).status_code == 401

    async def test_without_a_database_every_page_says_so(
        self, api: Api, store: Store, observed: Observed, api_settings: dict[str, Any]
    ) -> None:
        visitor = await visit(api, await api.token())
        nowhere = "postgresql://127.0.0.1:1/metering"
        async with serving(nowhere, store.schema, store.owner, observed, **api_settings) as second:
            response = await Visitor(second, visitor.cookie).get("/")
        assert response.status_code == 503
        assert "The database could not be asked" in text_of(response.text)


class TestRate:
    @pytest.fixture
    def api_settings(self) -> dict[str, Any]:
        return {"api_requests_per_s": 0.001, "api_burst": 3}

    async def test_a_token_that_asks_too_often_is_told_so_on_a_page(self, api: Api) -> None:
        token = await api.token()
        visitor = await visit(api, token)
        for _ in range(2):
            assert (await visitor.get("/login")).status_code == 200
            assert (await api.get("/v1/meters", token)).status_code == 200
        response = await visitor.get("/")
        assert response.status_code == 429
        assert int(response.headers["retry-after"]) > 0
        assert "welcome in" in text_of(response.text)


async def test_findings_are_the_doctors_and_ask_each_server_once_for_all_who_look(api: Api) -> None:
    visitor = await visit(api, await api.token())
    text = await visitor.page("/findings")
    found, _, rest = text.partition("Not looked at")
    assert "observer info No observer is at work" in found
    assert "metering observe" in found
    assert "kafka" in rest.partition("As it should be")[0]
    assert "postgres The database answers." in rest.partition("As it should be")[2]
    assert await visitor.page("/findings") == text
