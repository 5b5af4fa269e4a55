"""`metering close`: make final what nothing on time can reach any more."""

from typing import Annotated

import uvloop
from cyclopts import Parameter

from metering.cli.output import Json
from metering.closer import Closer
from metering.process.exclusive import run_exclusively
from metering.settings import load_settings
from metering.telemetry import configure_logging


def close(
    *,
    once: Annotated[bool, Parameter(negative=(), help="Close what can be closed now, and end.")] = False,
    as_json: Json = False,
) -> int:
    """Run a closer until SIGTERM; of several, one is at work and the others wait for their turn.

    With `--once` everything is closed that could be when it began, by this process or the one at work.
    """
    settings = load_settings()
    if as_json:
        settings = settings.model_copy(update={"log_format": "json"})
    configure_logging(settings)
    return uvloop.run(run_exclusively(settings, Closer(settings), once=once))
