"""The running API keeps to its own OpenAPI document, whatever it is asked."""

import asyncio
from typing import Any, Final

import pytest
import schemathesis
from hypothesis import HealthCheck, given, seed, settings
from integration.api.fixtures import Api
from integration.api.test_rated import START, rated_twice
from integration.rating.world import World
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    ignored_auth,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from metering.api import openapi

CHECKS: Final = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
    ignored_auth,
]
EXAMPLES: Final = 8  # of each operation and kind
THERE: Final = {"name": "acme-pro", "start": START, "version": 2}


# Schemathesis mutates what is allowed by Python's `random`, of which Hypothesis warns.
@pytest.mark.filterwarnings("ignore::hypothesis.errors.HypothesisDeprecationWarning")
async def test_every_operation_answers_as_its_contract_says(rated_api: Api, rated_world: World) -> None:
    """With what the contract allows and with what it does not, of what there is and of what there is not."""
    await rated_twice(rated_world)
    token = await rated_api.token()
    found = list(schemathesis.openapi.from_dict(openapi.document()).get_all_operations())
    asked = set()
    for one in found:
        operation = one.ok()
        asked.add((operation.method.upper(), operation.path))
        await asyncio.to_thread(_ask, operation, rated_api.url, token)
    assert {("PUT", "/v1/plans/{name}"), ("GET", "/v1/usage")} <= asked
    assert len(asked) == sum(map(len, openapi.document()["paths"].values()))


def _ask(operation: Any, url: str, token: str) -> None:
    there = {name: value for name, value in THERE.items() if f"{{{name}}}" in operation.path}
    strategies = [operation.as_strategy(mode) for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)]
    if there:
        strategies.append(operation.as_strategy(path_parameters=there))
    for strategy in strategies:

        @seed(1)
        @settings(
            max_examples=EXAMPLES,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(case=strategy)
        def ask(case: Any) -> None:
            case.call_and_validate(
                base_url=url, headers={"Authorization": f"Bearer {token}"}, checks=CHECKS, timeout=30
            )

        ask()
