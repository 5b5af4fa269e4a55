"""What was sent by whoever, as text: nothing that is hidden, and nothing that turns what is seen."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.quarantine.plain import plain


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (None, None),
        (b"", ""),
        ("grün, 語".encode(), "grün, 語"),
        (b"a\n\tb", "a\n\tb"),
        (b"\xff\xfeok", "\\xff\\xfeok"),
        (b"a\x00b\x1b[31m\r", "a\\x00b\\x1b[31m\\r"),
        ("a\u202eb\u200b\ufeff".encode(), "a\\u202eb\\u200b\\ufeff"),
    ],
)
def test_what_is_not_seen_is_written_as_an_escape(content: bytes | None, text: str | None) -> None:
    assert plain(content) == text


@given(st.binary())
def test_whatever_is_shown_can_be_seen(content: bytes) -> None:
    shown = plain(content)
    assert shown is not None
    assert all(one.isprintable() for one in shown.replace("\n", "").replace("\t", ""))
