"""The HTTP API as one app: made from its services, so that tests and the OpenAPI document make it too."""

from importlib.metadata import version
from typing import Any, Final

from fastapi import FastAPI

from metering.api import (
    feed,
    finality,
    meters,
    plans,
    probes,
    provisional,
    quarantine,
    rated,
    subscriptions,
    unrated,
    usage,
)
from metering.api.bodies import add_models
from metering.api.console import console
from metering.api.console.pages import problem_page
from metering.api.observing import Observing
from metering.api.problems import MEDIA_TYPE, Problems
from metering.api.quarantine import QuarantineDecision
from metering.api.services import Services
from schemas.plan import Plan
from schemas.problems import Problem, ProblemCode
from schemas.subscription import Subscription

DESCRIPTION: Final = """\
What was used, what it costs, and when that is final. Times are RFC 3339 in UTC; quantities and amounts are
decimal texts, exact to the last digit. A list has pages: give `next_cursor` as `cursor` until it is null.
Every refusal is a problem document (RFC 9457) with a stable `code`. Answers have strong ETags: send
`If-None-Match` and get 304.
"""
_EVERYWHERE: Final = (
    ProblemCode.INVALID_REQUEST,
    ProblemCode.TOKEN_MISSING,
    ProblemCode.SCOPE_MISSING,
    ProblemCode.NOT_FOUND,
    ProblemCode.TOO_MANY_REQUESTS,
    ProblemCode.INTERNAL_ERROR,
    ProblemCode.DATABASE_UNAVAILABLE,
)


class _App(FastAPI):
    """FastAPI describes only bodies that it reads itself; those of ours have numbers that must stay exact."""

    def openapi(self) -> dict[str, Any]:
        """Describe everything there is."""
        if self.openapi_schema is None:
            add_models(super().openapi(), [Plan, Subscription, QuarantineDecision])
        return super().openapi()


def make_app(services: Services) -> FastAPI:
    """The app; whoever serves it opens and closes the services."""
    problems = Problems(services.settings.runbook_url, problem_page)
    app = _App(
        title="Metering",
        version=version("metering"),
        description=DESCRIPTION,
        openapi_url="/v1/openapi.json",
        docs_url=None,  # a page that loads scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
        responses=_problem_responses(),
        # Ours says the same by the names of our catalogue.
        telemetry={"tracing": False, "metrics": False, "logs": False, "operation_spans": False},
    )
    app.state.services = services
    problems.install(app)
    app.add_middleware(Observing, telemetry=services.telemetry, answer=problems.answer)
    for resource in (
        meters,
        usage,
        finality,
        plans,
        subscriptions,
        provisional,
        rated,
        unrated,
        feed,
        quarantine,
    ):
        app.include_router(resource.router)
    app.include_router(probes.router)
    app.include_router(console.router)
    return app


def _problem_responses() -> dict[int | str, dict[str, Any]]:
    schema = {"schema": {"$ref": "#/components/schemas/Problem"}}
    return {
        code.status: {"model": Problem, "description": code.sentence, "content": {MEDIA_TYPE: schema}}
        for code in _EVERYWHERE
    }
