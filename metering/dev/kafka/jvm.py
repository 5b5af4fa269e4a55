"""How a Java program of Kafka's is started: its class path, its heap, and what makes it start quickly."""

import os
from pathlib import Path
from typing import Final

from metering.dev.cache import cache_dir
from metering.dev.kafka.jars import KAFKA_VERSION, java, kafka_jars

SMALL_HEAP_MB: Final = 384


def class_archive() -> Path:
    """Give the file of ready-made classes; a JVM that cannot use it, or finds none, loads from the jars."""
    return cache_dir() / f"kafka-{KAFKA_VERSION}-classes" / "broker.jsa"


def java_command(heap_mb: int) -> list[str]:
    """Give the command up to the name of the class to run.

    Raises:
        StackError: `java_missing`, `maven_missing` or `kafka_not_fetched`.
    """
    command = [
        java(), f"-Xmx{heap_mb}m", "-XX:+UseSerialGC", "-Dlog4j2.level=WARN",
        "-cp", f"{kafka_jars()}{os.sep}*",
    ]  # fmt: skip
    if heap_mb <= SMALL_HEAP_MB:
        # For tests, which start many and publish little: compile at once rather than well.
        command.append("-XX:TieredStopAtLevel=1")
    if class_archive().exists():
        command.append(f"-XX:SharedArchiveFile={class_archive()}")
    return command
