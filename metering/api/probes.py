"""`/healthz` and `/readyz`, and the page that problems link to. Neither asks for a token."""

from html import escape
from typing import Final

import asyncpg
from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, JSONResponse

from aggregator.store.errors import StoreError
from metering.api.services import services_of
from schemas.problems import KINDS

router: Final = APIRouter(include_in_schema=False)


@router.get("/healthz")
async def alive() -> JSONResponse:
    """Answer, which is what being alive means."""
    return JSONResponse({"alive": True})


@router.get("/readyz")
async def ready(request: Request) -> JSONResponse:
    """Tell whether requests can be served: the database answers and is at this release."""
    reasons: dict[str, str] = {}
    if services_of(request).stopping.is_set():
        reasons["api"] = "stopping"
    else:
        try:
            async with services_of(request).database.connection() as connection:
                await connection.fetchval("SELECT 1")
        except (StoreError, OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            reasons["database"] = f"{error or type(error).__name__}"
    return JSONResponse({"ready": not reasons, "reasons": reasons}, status_code=503 if reasons else 200)


@router.get("/runbook")
async def runbook() -> HTMLResponse:
    """Explain each code; `docs/runbook.md` says the same under the same anchors, and more."""
    sections = "".join(
        f'<section id="{code.anchor}"><h2>{code} ({kind.status})</h2><p>{escape(kind.sentence)}</p></section>'
        for code, kind in KINDS.items()
    )
    return HTMLResponse(f"<!doctype html><title>Problems of the metering API</title><main>{sections}</main>")
