"""All routes of the console as one router; none is in the OpenAPI document, no program should read them."""

from typing import Final

from fastapi import APIRouter

from metering.api.console import assets, customers, decisions, findings, login, quarantine, rated, status

router: Final = APIRouter(include_in_schema=False)
for part in (assets, login, status, findings, quarantine, decisions, customers, rated):
    router.include_router(part.router)
