"""Strong entity tags (RFC 9110, section 8.8.3): equal tags mean equal bytes."""

import hashlib
import re
from collections.abc import Mapping
from typing import Final

from fastapi import Request, Response

_ENTITY_TAG: Final = re.compile(r'(?P<weak>W/)?(?P<tag>"[\x21\x23-\x7e\x80-\xff]*")')
_CACHE: Final = "private, no-cache"
"""A cache may keep the answer for this token, and asks every time whether it still holds."""


def digest_tag(digest: bytes) -> str:
    """The tag of a document whose SHA-256 is known."""
    return f'"{digest.hex()}"'


def body_tag(body: bytes) -> str:
    """The tag of any body."""
    return digest_tag(hashlib.sha256(body).digest())


def answer(
    request: Request, body: bytes, *, digest: bytes | None = None, headers: Mapping[str, str] | None = None
) -> Response:
    """The body with its tag, or 304 when the reader has it already.

    Args:
        request: whose `If-None-Match` is looked at.
        body: JSON.
        digest: of the body (SHA-256), if it is known already.
        headers: more of them.
    """
    tag = body_tag(body) if digest is None else digest_tag(digest)
    sent = {"etag": tag, "cache-control": _CACHE, "vary": "Authorization", **(headers or {})}
    if names(request.headers.get("if-none-match"), tag):
        return Response(status_code=304, headers=sent)
    return Response(body, headers=sent, media_type="application/json")


def names(field: str | None, tag: str, *, strongly: bool = False) -> bool:
    """Whether an `If-None-Match` or `If-Match` field names this tag; `*` names every one.

    `strongly`: weak tags name nothing, as `If-Match` compares.
    """
    if field is None:
        return False
    if field.strip() == "*":
        return True
    return any(
        match["tag"] == tag and not (strongly and match["weak"]) for match in _ENTITY_TAG.finditer(field)
    )
