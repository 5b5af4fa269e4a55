"""The broker's jars, fetched once with Maven into the cache."""

import shutil
import subprocess
from pathlib import Path
from typing import Final

from metering.dev.cache import built_once, cache_dir
from metering.dev.errors import StackError

KAFKA_VERSION: Final = "4.3.1"
_POM: Final = Path(__file__).with_name("pom.xml")


def kafka_is_fetched() -> bool:
    """Tell whether the jars are in the cache already."""
    return _target().exists()


def kafka_jars() -> Path:
    """Give the directory of the broker's jars, fetching them if they are not there yet.

    Raises:
        StackError: `maven_missing` or `kafka_not_fetched`.
    """
    return built_once(_target(), _fetch)


def java() -> str:
    """Give the path of the Java launcher.

    Raises:
        StackError: `java_missing`.
    """
    found = shutil.which("java")
    if found is None:
        raise StackError(
            "java_missing",
            "A local Kafka needs Java 17 or newer: install it (Debian: apt-get install"
            " openjdk-17-jre-headless maven), or start Docker, or name a broker in"
            " METERING_KAFKA_BOOTSTRAP_SERVERS.",
        )
    return found


def _target() -> Path:
    return cache_dir() / f"kafka-{KAFKA_VERSION}"


def _fetch(directory: Path) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise StackError(
            "maven_missing",
            "Fetching Kafka needs Maven: install it (Debian: apt-get install maven), or start Docker, or name"
            " a broker in METERING_KAFKA_BOOTSTRAP_SERVERS.",
        )
    command = [
        maven, "-q", "-B", "-f", str(_POM), "dependency:copy-dependencies",
        "-DincludeScope=runtime", f"-Dkafka.version={KAFKA_VERSION}", f"-DoutputDirectory={directory}",
    ]  # fmt: skip
    fetched = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603
    if fetched.returncode != 0:
        raise StackError(
            "kafka_not_fetched", f"Maven could not fetch Kafka:\n{fetched.stdout}{fetched.stderr}"
        )
