"""`/healthz` and `/readyz`, and the page that problems link to. Neither asks for a token."""

from collections.abc import Mapping
from html import escape
from typing import Final

import asyncpg
from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, JSONResponse

from aggregator.store.errors import StoreError
from metering.api.services import Services, services_of
from metering.process.health import readiness_response
from schemas.problems import KINDS

router: Final = APIRouter(include_in_schema=False)


@router.get("/healthz")
async def alive() -> JSONResponse:
    """Answer, which is what being alive means."""
    return JSONResponse({"alive": True})


@router.get("/readyz")
async def ready(request: Request) -> JSONResponse:
    """Tell whether requests can be served: the database answers and is at this release."""
    return readiness_response(await reasons(services_of(request)))


async def reasons(services: Services) -> Mapping[str, str]:
    """Look why requests cannot be served, if they cannot."""
    if services.stopping.is_set():
        return {"api": "stopping"}
    try:
        async with services.database.connection() as connection:
            await connection.fetchval("SELECT 1")
    except (StoreError, OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        return {"database": f"{error or type(error).__name__}"}
    return {}


@router.get("/runbook")
async def runbook() -> HTMLResponse:
    """Explain each code; `docs/runbook.md` says the same under the same anchors, and more."""
    sections = "".join(
        f'<section id="{code.anchor}"><h2>{code} ({kind.status})</h2><p>{escape(kind.sentence)}</p></section>'
        for code, kind in KINDS.items()
    )
    return HTMLResponse(f"<!doctype html><title>Problems of the metering API</title><main>{sections}</main>")
