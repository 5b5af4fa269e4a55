"""The one byte form of a document: what is digested, stored, and compared on a replay."""

from hashlib import sha256
from typing import Final, NamedTuple, TypeVar

import msgspec
from pydantic import BaseModel

Model = TypeVar("Model", bound=BaseModel)

_ENCODE: Final = msgspec.json.Encoder(order="sorted").encode


class Canonical(NamedTuple):
    """A document's bytes and their SHA-256."""

    text: str
    digest: bytes


def canonical(document: BaseModel) -> Canonical:
    """JSON in UTF-8 with sorted keys and without whitespace; numbers that must be exact are texts."""
    written = _ENCODE(document.model_dump(by_alias=True))
    return Canonical(written.decode(), sha256(written).digest())


def read_canonical(text: str, model: type[Model]) -> Model:
    """The document that `canonical` wrote."""
    return model.model_validate_json(text)
