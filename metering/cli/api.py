"""`metering api`: serve what was counted and rated over HTTP."""

import uvloop

from metering.api import run
from metering.cli.output import Json
from metering.settings import load_settings
from metering.telemetry import configure_logging


def api(*, as_json: Json = False) -> int:
    """Serve the HTTP API until SIGTERM, which lets begun requests end; a second one stops it at once."""
    settings = load_settings()
    if as_json:
        settings = settings.model_copy(update={"log_format": "json"})
    configure_logging(settings)
    return uvloop.run(run(settings))
