"""The AsyncAPI document of the usage topics: what may be published to them, and what we write ourselves.

Source: https://www.asyncapi.com/docs/reference/specification/v3.0.0
"""

from collections.abc import Iterable
from typing import Any, Final

from schemas.binding import ATTRIBUTE_PREFIX, BINARY_MEDIA_TYPE, CONTENT_TYPE, STRUCTURED_MEDIA_TYPE
from schemas.control_types import TICK_TYPE, VOID_TYPE
from schemas.repair import REPAIR_HEADER, REPAIR_HEADER_PATTERN
from schemas.topic import TopicContract

BINDING_VERSION: Final = "0.5.0"

_PUBLISHED: Final = ("structured", "binary", "void")
"""The messages that products publish."""

Json = dict[str, Any]


def asyncapi_document(topics: Iterable[TopicContract], event_schema: Json, version: str) -> Json:
    """The document, in JSON's types; it refers to `usage-event.schema.json` beside it.

    Args:
        topics: the contracts of the topics it describes.
        event_schema: the JSON Schema of a usage event.
        version: of this document's contracts.
    """
    contracts = list(topics)
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Usage metering",
            "version": version,
            "description": "Products publish usage events; each is counted exactly once.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": STRUCTURED_MEDIA_TYPE,
        "channels": {contract.name: _channel(contract) for contract in contracts},
        "operations": {
            operation: body for contract in contracts for operation, body in _operations(contract).items()
        },
        "components": {"messages": _messages(event_schema)},
    }


def _channel(contract: TopicContract) -> Json:
    configs = contract.configs()
    channel: Json = {
        "address": contract.name,
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in (*_PUBLISHED, "tick")},
        "bindings": {
            "kafka": {
                "topic": contract.name,
                "partitions": contract.partitions,
                "replicas": contract.replication_factor,
                "topicConfiguration": {
                    "cleanup.policy": [configs["cleanup.policy"]],
                    "retention.ms": contract.retention_ms,
                    "max.message.bytes": contract.max_message_bytes,
                },
                "bindingVersion": BINDING_VERSION,
            }
        },
    }
    if contract.description is not None:
        channel["description"] = contract.description
    return channel


def _operations(contract: TopicContract) -> Json:
    channel = f"#/channels/{contract.name}"
    return {
        f"count-{contract.name}": {
            "action": "receive",
            "channel": {"$ref": channel},
            "summary": "Count usage events, published by products, and withdraw those that they void.",
            "messages": [{"$ref": f"{channel}/messages/{name}"} for name in _PUBLISHED],
        },
        f"tick-{contract.name}": {
            "action": "send",
            "channel": {"$ref": channel},
            "summary": "Move the frontier of an idle partition.",
            "messages": [{"$ref": f"{channel}/messages/tick"}],
        },
        f"repair-{contract.name}": {
            "action": "send",
            "channel": {"$ref": channel},
            "summary": f"Bring back a refused record, with the header `{REPAIR_HEADER}`.",
            "messages": [{"$ref": f"{channel}/messages/{name}"} for name in _PUBLISHED],
        },
    }


def _messages(event_schema: Json) -> Json:
    key = {"type": "string", "description": "The subject."}
    bindings = {"kafka": {"key": key, "bindingVersion": BINDING_VERSION}}
    repair = {REPAIR_HEADER: {"type": "string", "pattern": REPAIR_HEADER_PATTERN}}
    attributes = {name: schema for name, schema in event_schema["properties"].items() if name != "data"}
    content_type = attributes.pop("datacontenttype")
    return {
        "structured": {
            "name": "UsageEvent",
            "title": "Usage event, structured mode",
            "contentType": STRUCTURED_MEDIA_TYPE,
            "headers": {
                "type": "object",
                "properties": {CONTENT_TYPE: {"type": "string", "const": STRUCTURED_MEDIA_TYPE}, **repair},
            },
            "payload": {"$ref": "usage-event.schema.json"},
            "bindings": bindings,
        },
        "binary": {
            "name": "UsageEventBinary",
            "title": "Usage event, binary mode",
            "contentType": BINARY_MEDIA_TYPE,
            "headers": {
                "type": "object",
                "properties": {
                    CONTENT_TYPE: content_type,
                    **{ATTRIBUTE_PREFIX + name: schema for name, schema in attributes.items()},
                    **repair,
                },
                "required": [ATTRIBUTE_PREFIX + name for name in attributes],
            },
            "payload": event_schema["properties"]["data"],
            "bindings": bindings,
        },
        "tick": {
            "name": "Tick",
            "title": "Tick, written by the pipeline alone",
            "contentType": STRUCTURED_MEDIA_TYPE,
            "payload": _of_type(TICK_TYPE),
        },
        "void": {
            "name": "Void",
            "title": "Void, withdraws an event; in binary mode too",
            "contentType": STRUCTURED_MEDIA_TYPE,
            "headers": {
                "type": "object",
                "properties": {CONTENT_TYPE: {"type": "string", "const": STRUCTURED_MEDIA_TYPE}, **repair},
            },
            "payload": _of_type(VOID_TYPE),
            "bindings": bindings,
        },
    }


def _of_type(name: str) -> Json:
    return {
        "allOf": [
            {"$ref": "usage-event.schema.json"},
            {"type": "object", "properties": {"type": {"const": name}}},
        ]
    }
