import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.access import Access, Scope, presented, proves, scopes_of, token_digest, token_text

ID, SECRET = "0123456789ab", "f" * 64


def test_a_token_names_itself_and_proves_itself_by_its_hash() -> None:
    text = token_text(ID, SECRET)
    assert text == f"mtr_{ID}_{SECRET}"
    shown = presented(text)
    assert shown is not None
    assert shown.token_id == ID
    assert shown.digest == hashlib.sha256(text.encode()).digest() == token_digest(text)
    assert proves(shown.digest, token_digest(text))
    assert not proves(shown.digest, token_digest(token_text(ID, "e" * 64)))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "mtr_",
        f"mtr_{ID}_{SECRET} ",
        f" mtr_{ID}_{SECRET}",
        f"mtr_{ID}_{SECRET}\n",
        f"mtr_{ID}_{SECRET[1:]}",
        f"mtr_{ID[1:]}_{SECRET}",
        f"MTR_{ID}_{SECRET}",
        f"mtr_{ID}_{SECRET.upper()}",
        f"mtr_{ID}_{'٣' * 64}",
    ],
)
def test_what_only_looks_like_a_token_is_none(text: str) -> None:
    assert presented(text) is None


@given(st.text())
def test_no_text_breaks_the_reading(text: str) -> None:
    assert presented(text) is None


def test_a_token_is_not_made_of_anything() -> None:
    with pytest.raises(ValueError, match="digits"):
        token_text("acme", SECRET)


def test_scopes_and_customers_say_what_may_be_done() -> None:
    one = Access(ID, "billing", scopes_of(["usage:read"]), frozenset({"acme"}))
    assert one.allows(Scope.USAGE_READ)
    assert not one.allows(Scope.PLANS_WRITE)
    assert one.sees("acme")
    assert not one.sees("umbrella")
    assert not one.sees("")
    assert Access(ID, "all", frozenset(), None).sees("umbrella")
    assert one.who == f"token {ID} (billing)"
    with pytest.raises(ValueError, match="usage:write"):
        scopes_of(["usage:write"])
