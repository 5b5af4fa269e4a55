"""`metering observe`: report how everything stands, also while nobody is at work."""

from typing import Annotated

import uvloop
from cyclopts import Parameter

from metering.cli.output import Json
from metering.observer.observer import Observer, SingleLook
from metering.observer.servers import ServerWatch
from metering.process.exclusive import run_exclusively
from metering.settings import load_settings
from metering.telemetry import configure_logging


def observe(
    *,
    once: Annotated[bool, Parameter(negative=(), help="Look at everything once, and end.")] = False,
    as_json: Json = False,
) -> int:
    """Run an observer until SIGTERM; of several, one is at work and the others wait for their turn.

    What it sees are gauges: set `METERING_ADMIN_PORT` for `/metrics`, or `METERING_OTLP_ENDPOINT`.
    """
    settings = load_settings()
    if as_json:
        settings = settings.model_copy(update={"log_format": "json"})
    configure_logging(settings)
    watch = ServerWatch(settings)
    duty = SingleLook(settings) if once else Observer(settings)
    return uvloop.run(run_exclusively(settings, duty, once=once, beside=watch.run))
