"""`metering worker`: count what is in the topic."""

from typing import Annotated

import uvloop
from cyclopts import Parameter

from metering.cli.output import Json
from metering.settings import load_settings
from metering.telemetry import configure_logging
from metering.topics import load_contract
from metering.worker import run


def worker(
    *,
    until_caught_up: Annotated[
        bool, Parameter(negative=(), help="Stop at the end of the log as it is now, repairs included.")
    ] = False,
    as_json: Json = False,
) -> int:
    """Run one member of the consumer group, until SIGTERM drains it; a second one stops it at once.

    Exit code 5: a partition or the topic had to be stopped, and its code says why.
    """
    settings = load_settings()
    changes = {"topic": load_contract(settings).name, **({"log_format": "json"} if as_json else {})}
    settings = settings.model_copy(update=changes)
    configure_logging(settings)
    return uvloop.run(run(settings, until_caught_up=until_caught_up))
