"""The generated documents are those of the models, and say what is true."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from unit.schemas.records import ATTRIBUTES

import schemas
from schemas import generate
from schemas.catalog import load_catalog
from schemas.generate import documents, main, stale
from schemas.topic import load_topic
from schemas.wire import Event, decode

FOLDER = Path(schemas.__file__).parent
PAGE = FOLDER.parent / "docs" / "contracts.md"


def read(name: str) -> Any:
    return yaml.safe_load((FOLDER / "generated" / name).read_text())


def references(node: object) -> Iterator[str]:
    if isinstance(node, dict):
        for name, item in node.items():
            if name == "$ref":
                yield item
            else:
                yield from references(item)
    elif isinstance(node, list):
        for item in node:
            yield from references(item)


def test_they_are_up_to_date() -> None:
    assert main(["--check"]) == 0


def test_a_stale_document_is_shown(tmp_path: Path) -> None:
    for name, text in documents().items():
        (tmp_path / name).write_text(text)
    assert stale(tmp_path, documents()) == []
    (tmp_path / "topic.schema.json").write_text(
        documents()["topic.schema.json"].replace("murmur2", "murmur3")
    )
    (tmp_path / "left-over.json").write_text("{}\n")
    (tmp_path / "asyncapi.yaml").unlink()
    changed = {line.split()[1] for line in stale(tmp_path, documents()) if line.startswith("--- ")}
    assert changed == {"topic.schema.json", "left-over.json", "asyncapi.yaml"}


def test_check_fails_until_the_documents_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(generate, "_GENERATED", tmp_path)
    assert main(["--check"]) == 1
    assert "+asyncapi: 3.0.0" in capsys.readouterr().out
    assert main([]) == 0
    assert main(["--check"]) == 0
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("name", ["usage-event", "catalog", "topic"])
def test_the_json_schemas_are_json_schemas(name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(read(f"{name}.schema.json"))


def test_the_catalog_of_the_page_is_one() -> None:
    [text] = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert load_catalog(text, PAGE.name).meters[0].aggregation == "sum"
    jsonschema.validate(yaml.safe_load(text), read("catalog.schema.json"))


def test_the_event_of_the_page_and_its_void_are_what_they_are_called() -> None:
    event, void = (
        decode(text.encode(), ()) for text in re.findall(r"```json\n(.*?)```", PAGE.read_text(), re.DOTALL)
    )
    assert isinstance(event, Event)
    assert isinstance(void, Event)
    assert void.control is not None
    assert (void.id, void.source, void.type, void.subject, void.time_us, void.values) == (
        *(event.id, event.source, event.type, event.subject, event.time_us, event.values),
    )


def test_the_record_of_the_page_is_one() -> None:
    [text] = re.findall(r"```text\n(.*?)```", PAGE.read_text(), re.DOTALL)
    record = dict(line.split(maxsplit=1) for line in text.splitlines())
    value, key = record.pop("value"), record.pop("key")
    event = decode(value.encode(), [(name, text.encode()) for name, text in record.items()])
    assert isinstance(event, Event)
    assert event.subject == key


@pytest.mark.parametrize(
    ("change", "is_valid"),
    [
        ({}, True),
        ({"group_by": ["a", "b"]}, True),
        ({"group_by": {"a": "b.c"}}, True),
        ({"filter": {"a": [1, "x", True]}}, True),
        ({"filter": {"a b": [1]}}, False),
        ({"group_by": list("abcdefghi")}, False),
        ({"window": "2h"}, False),
        ({"vlaue": "n"}, False),
    ],
)
def test_the_catalogs_schema_agrees_with_its_model(change: dict[str, object], *, is_valid: bool) -> None:
    meter = {
        "name": "n",
        "event_type": "t",
        "aggregation": "sum",
        "value": "v",
        "window": "1h",
        "grace": "1h",
    }
    document = {"meters": [meter | change]}
    assert jsonschema.Draft202012Validator(read("catalog.schema.json")).is_valid(document) == is_valid
    try:
        load_catalog(json.dumps(document), "meters.yaml")
    except ValueError:
        assert not is_valid
    else:
        assert is_valid


@pytest.mark.parametrize(
    ("change", "is_valid"),
    [
        ({}, True),
        ({"end": "2027-01-01T00:00:00Z", "anchor": "2026-01-31T06:00"}, True),
        ({"end": None, "anchor": None}, True),
        ({"thresholds": [{"charge": "input", "percent": 80}, {"amount": "50.5"}]}, True),
        ({"thresholds": [{"amount": 0}]}, False),
        ({"anchor": "2026-01-31T00:00:00Z"}, False),
        ({"start": "2026-01-01"}, False),
        ({"subjects": []}, False),
        ({"billing_period": "fortnight"}, False),
        ({"name": "Acme"}, False),
        ({"curtomer": "acme"}, False),
    ],
)
def test_the_schema_of_subscriptions_agrees_with_their_model(
    change: dict[str, object], *, is_valid: bool
) -> None:
    subscription = {
        "name": "acme-pro",
        "customer": "acme",
        "subjects": ["acme"],
        "plan": "pro",
        "start": "2026-01-01T00:00:00+01:00",
        "billing_period": "month",
    }
    document = {"subscriptions": [subscription | change]}
    assert jsonschema.Draft202012Validator(read("catalog.schema.json")).is_valid(document) == is_valid
    try:
        load_catalog(json.dumps(document), "subscriptions.yaml")
    except ValueError:
        assert not is_valid
    else:
        assert is_valid


def test_every_topic_is_a_channel() -> None:
    channels = read("asyncapi.yaml")["channels"]
    contracts = [load_topic(path.read_text(), path.name) for path in FOLDER.glob("topics/*.yaml")]
    assert contracts
    for contract in contracts:
        assert channels[contract.name]["bindings"]["kafka"]["partitions"] == contract.partitions
        jsonschema.validate(
            yaml.safe_load(FOLDER.joinpath("topics", f"{contract.name}.yaml").read_text()),
            read("topic.schema.json"),
        )


def test_every_reference_of_the_asyncapi_document_leads_somewhere() -> None:
    document = read("asyncapi.yaml")
    found = list(references(document))
    assert found
    for reference in found:
        if reference.startswith("#/"):
            node = document
            for part in reference.removeprefix("#/").split("/"):
                node = node[part]
        else:
            assert (FOLDER / "generated" / reference).exists()


def test_the_headers_of_binary_mode_are_described() -> None:
    headers = read("asyncapi.yaml")["components"]["messages"]["binary"]["headers"]
    validator = jsonschema.Draft202012Validator(headers)
    sent = {f"ce_{name}": text for name, text in ATTRIBUTES.items()}
    validator.validate(sent | {"content-type": "application/json"})
    assert not validator.is_valid(sent | {"ce_id": ""})
    assert not validator.is_valid({name: text for name, text in sent.items() if name != "ce_time"})
    validator.validate(sent | {"metering-repair": "partition=1;offset=2;code=misplaced"})
    assert not validator.is_valid(sent | {"metering-repair": "please"})
