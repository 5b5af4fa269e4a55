"""`metering api` as a process: answer, and on SIGTERM finish what was begun."""

import gc

import structlog

from metering.api.server import ApiServer
from metering.process.health import probes
from metering.process.shutdown import Shutdown
from metering.settings import Settings
from metering.telemetry import start_telemetry

log = structlog.get_logger(__name__)


async def run(settings: Settings) -> int:
    """Serve until SIGTERM or SIGINT, then answer what was asked; a second one ends the process at once.

    Returns:
        0, the exit code.

    Raises:
        UsageError: an address cannot be listened at (`settings_invalid`).
    """
    shutdown = Shutdown()
    shutdown.listen()
    telemetry = start_telemetry(settings, "api")
    try:
        server = ApiServer(settings, telemetry)
        async with probes(settings, server.reasons, telemetry):
            await server.start()
            gc.freeze()  # what is there now stays: no request waits while all of it is looked at again
            host, port = server.address
            log.info("api_listening", host=host, port=port)
            await shutdown.requested.wait()
            await server.stop()
        log.info("stopped", code=None)
    finally:
        telemetry.close()
    return 0
