"""A broker is run once, so that every later one starts with half the work."""

import asyncio
import tempfile
from pathlib import Path

from metering.dev.cache import built_once
from metering.dev.kafka.jvm import SMALL_HEAP_MB, class_archive
from metering.dev.kafka.layout import Layout
from metering.dev.kafka.server import KafkaServer


def train() -> None:
    """Make the class archive, unless it is there: a JVM writes down, as it ends, which classes it used.

    Raises:
        StackError: when the broker does not start or stop.
    """
    built_once(class_archive().parent, lambda directory: asyncio.run(_run_once(directory)))


async def _run_once(directory: Path) -> None:
    option = f"-XX:ArchiveClassesAtExit={directory / class_archive().name}"
    layout = Layout.new(brokers=1, heap_mb=SMALL_HEAP_MB)
    with tempfile.TemporaryDirectory() as home:
        server = KafkaServer(layout, layout.nodes[0], Path(home), jvm_options=[option])
        try:
            await server.start()
            await server.stop()
        finally:
            server.kill()
