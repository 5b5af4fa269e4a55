"""Documents that are written over HTTP: JSON, read as strictly and as exactly as the catalog's YAML."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, NoReturn, TypeVar

from fastapi import Request
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from metering.api.problems import ProblemResponseError, refusals
from schemas.codes import Refused
from schemas.document import Document, DocumentError, Place, validate
from schemas.json_text import nests_too_deeply
from schemas.number import exact_number
from schemas.problems import ProblemCode, ProblemError
from schemas.text import storable

MAX_BYTES: Final = 1_000_000

_PLACE: Final = "#/components/schemas/{model}"
REFUSED_BODIES: Final = refusals(ProblemCode.BODY_TOO_LARGE, ProblemCode.DOCUMENT_INVALID)
"""What a request with a body may answer beside what every request may."""

Model = TypeVar("Model", bound=BaseModel)


def body_of(model: type[BaseModel]) -> dict[str, Any]:
    """How OpenAPI describes such a body; `add_models` puts its schema where this points."""
    schema = {"$ref": _PLACE.format(model=model.__name__)}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def add_models(document: dict[str, Any], models: Sequence[type[BaseModel]]) -> None:
    """Put the schemas of bodies into an OpenAPI document."""
    _, schemas = models_json_schema([(model, "validation") for model in models], ref_template=_PLACE)
    known: dict[str, Any] = document["components"]["schemas"]
    for name, schema in schemas["$defs"].items():
        if known.setdefault(name, schema) != schema:
            raise ValueError(f"two schemas are named {name}")
    for model in models:
        required = known[model.__name__]["required"]
        if "name" in required:  # the address has it
            required.remove("name")


async def read_document(request: Request, name: str, model: type[Model]) -> Model:
    """The document in a request's body; its `name` may be left out, for the address has it.

    Raises:
        ProblemResponseError: the body is too large, is no JSON object, or breaks the model's contract.
    """
    content = _json_object(await _body(request))
    if content.setdefault("name", name) != name:
        raise _invalid(
            [
                ProblemError(
                    code="name_differs", pointer="name", detail=f"The address says {name}: leave it out."
                )
            ]
        )
    return _validated(content, model)


async def read_command(request: Request, model: type[Model]) -> Model:
    """What a request's body asks for; raises as `read_document`."""
    return _validated(_json_object(await _body(request)), model)


def _validated(content: Mapping[str, object], model: type[Model]) -> Model:
    try:
        return validate(Document("body", content, {(): Place(1, 1)}), model, [*model.model_fields])
    except DocumentError as error:
        raise _invalid(
            [
                ProblemError(code=problem.code, pointer=problem.path, detail=problem.sentence)
                for problem in error.problems
            ]
        ) from None


async def _body(request: Request) -> str:
    read = bytearray()
    async for chunk in request.stream():
        read += chunk
        if len(read) > MAX_BYTES:
            raise ProblemResponseError(
                ProblemCode.BODY_TOO_LARGE, f"The body has more than {MAX_BYTES} bytes."
            )
    try:
        return read.decode()
    except UnicodeDecodeError as error:
        raise _no_json(f"it is not UTF-8 at byte {error.start}") from None


def _json_object(text: str) -> dict[str, object]:
    if nests_too_deeply(text):
        raise _no_json("it nests too deeply")
    try:
        content = json.loads(
            text,
            parse_int=exact_number,
            parse_float=exact_number,
            parse_constant=_refuse_constant,
            object_pairs_hook=_object,
        )
    except (ValueError, RecursionError) as error:
        raise _no_json(f"{error}") from None
    if not isinstance(content, dict):
        raise _no_json("it is no object")
    _check_texts(content)
    return content


def _object(pairs: Sequence[tuple[str, object]]) -> dict[str, object]:
    content = dict(pairs)
    if len(content) < len(pairs):
        raise ValueError("a key is given twice")
    return content


def _check_texts(content: object) -> None:
    match content:
        case str():
            try:
                storable(content)
            except Refused as error:
                raise _no_json(f"a text cannot be stored: {error}") from None
        case Mapping():
            for key, value in content.items():
                _check_texts(key)
                _check_texts(value)
        case list():
            for value in content:
                _check_texts(value)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")


def _no_json(reason: str) -> ProblemResponseError:
    return ProblemResponseError(ProblemCode.BODY_NOT_JSON, f"The body is not one JSON object: {reason}.")


def _invalid(errors: Sequence[ProblemError]) -> ProblemResponseError:
    named = ", ".join(dict.fromkeys(one.pointer or "the document" for one in errors))
    return ProblemResponseError(
        ProblemCode.DOCUMENT_INVALID, f"Not as its contract says: {named}.", errors=errors
    )
