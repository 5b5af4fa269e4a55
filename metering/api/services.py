"""What one API process has once, and its requests share."""

import asyncio
import secrets
from dataclasses import dataclass, field

from fastapi import Request

from aggregator.store.terms import RatingCatalog
from metering.api.console.checkup import Checkup
from metering.api.console.watch import Watch
from metering.api.database import Database
from metering.api.limits import RateLimit
from metering.settings import Settings
from metering.telemetry import Telemetry


@dataclass(slots=True)
class Services:
    """Made by `ApiServer`."""

    settings: Settings
    telemetry: Telemetry
    database: Database
    limit: RateLimit
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    catalog: RatingCatalog | None = None  # meters and plans as they were last read
    session_key: bytes = field(init=False)
    watch: Watch = field(init=False)
    checkup: Checkup = field(init=False)

    def __post_init__(self) -> None:
        """Make what settings alone decide."""
        key = self.settings.api_session_key
        self.session_key = secrets.token_bytes(32) if key is None else key.get_secret_value().encode()
        self.watch = Watch(self.settings)
        self.checkup = Checkup(self.settings)


def services_of(request: Request) -> Services:
    """The services of the app that serves this request."""
    services: Services = request.app.state.services
    return services
