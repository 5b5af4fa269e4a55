"""`metering rate`: price what has become final."""

from typing import Annotated

import uvloop
from cyclopts import Parameter

from metering.cli.output import Json
from metering.process.exclusive import run_exclusively
from metering.rater import Rater
from metering.settings import load_settings
from metering.telemetry import configure_logging


def rate(
    *,
    once: Annotated[bool, Parameter(negative=(), help="Rate what can be rated now, and end.")] = False,
    as_json: Json = False,
) -> int:
    """Run a rater until SIGTERM; of several, one is at work and the others wait for their turn.

    It rates periods that `metering close` has made final, makes new versions of those that adjustments
    change, tells of thresholds that are crossed, and pushes all of that to METERING_FEED_TOPIC if there is
    one. With `--once` all is rated that could be when it began, by this process or the one at work.
    """
    settings = load_settings()
    if as_json:
        settings = settings.model_copy(update={"log_format": "json"})
    configure_logging(settings)
    return uvloop.run(run_exclusively(settings, Rater(settings), once=once))
