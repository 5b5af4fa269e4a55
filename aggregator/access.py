"""Who may read and write what over HTTP: bearer tokens, their scopes, and the customers they are for."""

import hashlib
import hmac
import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

ID_CHARACTERS: Final = 12
SECRET_CHARACTERS: Final = 64  # 256 bits

_TOKEN: Final = re.compile(rf"mtr_(?P<id>[0-9a-f]{{{ID_CHARACTERS}}})_[0-9a-f]{{{SECRET_CHARACTERS}}}")


class Scope(StrEnum):
    """What a token may do. Scopes are stored and handed out: never rename one."""

    USAGE_READ = "usage:read"
    RATED_READ = "rated:read"
    FEED_READ = "feed:read"
    PLANS_WRITE = "plans:write"
    SUBSCRIPTIONS_WRITE = "subscriptions:write"
    STATUS_READ = "status:read"
    QUARANTINE_WRITE = "quarantine:write"


FOR_EVERYBODY: Final = frozenset(
    {Scope.PLANS_WRITE, Scope.SUBSCRIPTIONS_WRITE, Scope.STATUS_READ, Scope.QUARANTINE_WRITE}
)
"""Only for tokens of every customer: whoever writes a subscription chooses whose usage it shows, how the
pipeline does is told with everybody's subjects, and whose a refused record is often nobody can know."""


@dataclass(frozen=True, slots=True)
class Access:
    """What the bearer of a token may do; `customers` None means every customer's."""

    token_id: str
    name: str
    scopes: frozenset[Scope]
    customers: frozenset[str] | None

    @property
    def who(self) -> str:
        """The name that the audit log keeps."""
        return f"token {self.token_id} ({self.name})"

    def allows(self, scope: Scope) -> bool:
        """Whether the token has this scope."""
        return scope in self.scopes

    def sees(self, customer: str) -> bool:
        """Whether this customer's data may be read."""
        return self.customers is None or customer in self.customers


class Presented(NamedTuple):
    """A token as somebody sent it: which one it says it is, and the hash that proves it."""

    token_id: str
    digest: bytes


def token_text(token_id: str, secret: str) -> str:
    """The token that its bearer is given, once; `secret` is 64 random hexadecimal digits.

    Raises:
        ValueError: the parts are not of that form.
    """
    text = f"mtr_{token_id}_{secret}"
    if _TOKEN.fullmatch(text) is None:
        raise ValueError("an id has 12 hexadecimal digits, a secret has 64")
    return text


def presented(text: str) -> Presented | None:
    """Read a token; None if it is not of the form of one."""
    match = _TOKEN.fullmatch(text)
    return None if match is None else Presented(match["id"], token_digest(text))


def token_digest(text: str) -> bytes:
    """What is stored of a token. 256 random bits need no slow hash: nobody can try them all."""
    return hashlib.sha256(text.encode()).digest()


def proves(digest: bytes, stored: bytes) -> bool:
    """Compare two digests in a time that does not tell where they differ."""
    return hmac.compare_digest(digest, stored)


def scopes_of(names: Iterable[str]) -> frozenset[Scope]:
    """The scopes of these names.

    Raises:
        ValueError: there is no such scope.
    """
    return frozenset(map(Scope, names))
