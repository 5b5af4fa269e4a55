"""Logins of the console: a token is shown once, and a signed text stands for it for some hours.

Whoever reads such a text learns neither the token nor its hash, and whoever has the hash alone cannot make
one. It ends with its time or with its token, whichever is first.
"""

import hmac
import re
from typing import Final, NamedTuple

from aggregator.access import ID_CHARACTERS

LIFETIME_S: Final = 8 * 3600
"""A shift."""

_SESSION: Final = re.compile(
    rf"(?P<token_id>[0-9a-f]{{{ID_CHARACTERS}}})\.(?P<end>[0-9]{{1,12}})\.(?P<proof>[0-9a-f]{{64}})"
)


class Claim(NamedTuple):
    """A session as a browser sent it; whether it holds is not decided yet."""

    token_id: str
    end_s: int  # since the epoch
    proof: str


def session_text(key: bytes, token_id: str, digest: bytes, end_s: int) -> str:
    """The session of a token until some time.

    Args:
        key: of this installation; a secret.
        token_id: whose session it is.
        digest: the token's.
        end_s: since the epoch.
    """
    return f"{token_id}.{end_s}.{_proof(key, token_id, digest, end_s)}"


def claimed(text: str) -> Claim | None:
    """Read a session; None if it is not of the form of one."""
    match = _SESSION.fullmatch(text)
    return None if match is None else Claim(match["token_id"], int(match["end"]), match["proof"])


def holds(claim: Claim, key: bytes, digest: bytes, now_s: float) -> bool:
    """Whether we have made this session, for this very token, and it is not over."""
    proof = _proof(key, claim.token_id, digest, claim.end_s)
    return hmac.compare_digest(proof, claim.proof) and now_s < claim.end_s


def _proof(key: bytes, token_id: str, digest: bytes, end_s: int) -> str:
    return hmac.digest(key, f"{token_id}.{end_s}.{digest.hex()}".encode(), "sha256").hex()
