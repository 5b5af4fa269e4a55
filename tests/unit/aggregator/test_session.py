import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.session import Claim, claimed, holds, session_text

KEY, TOKEN_ID, DIGEST = b"k" * 32, "0123456789ab", b"d" * 32


def test_a_session_holds_until_its_end_for_its_token_and_its_key() -> None:
    claim = claimed(session_text(KEY, TOKEN_ID, DIGEST, 1000))
    assert claim is not None
    assert (claim.token_id, claim.end_s) == (TOKEN_ID, 1000)
    assert holds(claim, KEY, DIGEST, 999.9)
    assert not holds(claim, KEY, DIGEST, 1000)
    assert not holds(claim, b"l" * 32, DIGEST, 0)
    assert not holds(claim, KEY, b"e" * 32, 0)


@pytest.mark.parametrize("change", [{"token_id": "0123456789ac"}, {"end_s": 1001}, {"proof": "0" * 64}])
def test_whoever_changes_a_session_has_none(change: dict[str, object]) -> None:
    claim = claimed(session_text(KEY, TOKEN_ID, DIGEST, 1000))
    assert claim is not None
    assert not holds(Claim(**{**claim._asdict(), **change}), KEY, DIGEST, 0)


@pytest.mark.parametrize(
    "text",
    ["", "..", f"{TOKEN_ID}.1.{'0' * 63}", f"{TOKEN_ID}.-1.{'0' * 64}", f"{TOKEN_ID}.{'9' * 13}.{'0' * 64}"],
)
def test_what_only_looks_like_a_session_is_none(text: str) -> None:
    assert claimed(text) is None


@given(st.text())
def test_no_text_breaks_the_reading(text: str) -> None:
    assert claimed(text) is None
