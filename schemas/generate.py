"""Writes the documents of `schemas/generated/` from the models: `python -m schemas.generate [--check]`."""

import argparse
import difflib
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema

from schemas.asyncapi import asyncapi_document
from schemas.catalog import CatalogDocument
from schemas.control_types import VOID_TYPE
from schemas.event import UsageEvent, Withdrawn
from schemas.topic import TopicContract, load_topic

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
CONTRACTS_VERSION: Final = "1.0.0"
OPENAPI: Final = "openapi.json"
"""Written by `metering.api.openapi`: what it describes is not in this layer."""

_FOLDER: Final = Path(__file__).parent
_GENERATED: Final = _FOLDER / "generated"


class _Untitled(GenerateJsonSchema):
    """JSON Schema without a title for each field: they only repeat the names."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ANN401, ARG002 - as pydantic declares it
        return False


def documents() -> dict[str, str]:
    """The text of every generated document, by file name."""
    topics = [load_topic(path.read_text(), path.name) for path in sorted(_FOLDER.glob("topics/*.yaml"))]
    event_schema = _event_schema()
    return {
        "usage-event.schema.json": _json(event_schema),
        "catalog.schema.json": _json(json_schema(CatalogDocument)),
        "topic.schema.json": _json(json_schema(TopicContract)),
        "asyncapi.yaml": _yaml(asyncapi_document(topics, event_schema, CONTRACTS_VERSION)),
    }


def _event_schema() -> dict[str, Any]:
    """That of a usage event; a void's data have a form of their own."""
    withdrawn = json_schema(Withdrawn)
    del withdrawn["$schema"]
    return json_schema(UsageEvent) | {
        "if": {"properties": {"type": {"const": VOID_TYPE}}, "required": ["type"]},
        "then": {"properties": {"data": withdrawn}},
    }


def json_schema(model: type[BaseModel]) -> dict[str, Any]:
    """The JSON Schema of a model."""
    return {"$schema": DIALECT, **model.model_json_schema(schema_generator=_Untitled)}


def stale(folder: Path, texts: Mapping[str, str], names: Iterable[str] | None = None) -> list[str]:
    """The lines in which the folder's files differ from the texts; empty if they are up to date.

    `names` are the files to look at: every one but those of others, unless told.
    """
    lines: list[str] = []
    if names is None:
        names = texts.keys() | {path.name for path in folder.iterdir()} - {OPENAPI}
    for name in sorted(names):
        path = folder / name
        before = path.read_text().splitlines(keepends=True) if path.exists() else []
        after = texts.get(name, "").splitlines(keepends=True)
        lines += difflib.unified_diff(before, after, f"{name} (checked in)", f"{name} (generated)")
    return lines


def main(arguments: Sequence[str]) -> int:
    """Write the documents, or with `--check` only say whether they are up to date."""
    parser = argparse.ArgumentParser(prog="python -m schemas.generate", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if a document is stale")
    texts = documents()
    if parser.parse_args(arguments).check:
        difference = stale(_GENERATED, texts)
        sys.stdout.writelines(difference)
        return 1 if difference else 0
    _GENERATED.mkdir(exist_ok=True)
    for name, text in texts.items():
        (_GENERATED / name).write_text(text)
    return 0


def _json(document: Mapping[str, Any]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _yaml(document: Mapping[str, Any]) -> str:
    copies = json.loads(
        json.dumps(document)
    )  # shared parts would become aliases, which not every reader follows
    return yaml.safe_dump(copies, sort_keys=False, allow_unicode=True, width=110)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
