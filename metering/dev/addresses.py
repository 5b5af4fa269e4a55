"""Where the servers are, and the file through which every other command learns it."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import msgspec

from metering.dev.errors import StackError

KAFKA_VARIABLE: Final = "METERING_KAFKA_BOOTSTRAP_SERVERS"
POSTGRES_VARIABLE: Final = "METERING_POSTGRES_DSN"
STATE_VARIABLE: Final = "METERING_DEV_DIR"


@dataclass(frozen=True, slots=True)
class Addresses:
    """A Kafka and a Postgres, and who runs them."""

    kafka_bootstrap_servers: str
    postgres_dsn: str
    source: Literal["environment", "docker", "local"]


def state_dir() -> Path:
    """Give the directory of the local stack's state: METERING_DEV_DIR, or `.dev` here."""
    return Path(os.environ.get(STATE_VARIABLE) or ".dev").absolute()


def from_environment(environment: Mapping[str, str]) -> Addresses | None:
    """Read the addresses that a person has set; None when there are none.

    Raises:
        StackError: `half_configured`, when only one of the two is set.
    """
    kafka, postgres = environment.get(KAFKA_VARIABLE), environment.get(POSTGRES_VARIABLE)
    if not kafka and not postgres:
        return None
    if not kafka or not postgres:
        missing = POSTGRES_VARIABLE if kafka else KAFKA_VARIABLE
        raise StackError("half_configured", f"Set {missing} as well, or neither address, for a local stack.")
    return Addresses(kafka, postgres, "environment")


def published(state: Path) -> Addresses | None:
    """Read back what `publish` wrote; None when nothing is up."""
    try:
        return msgspec.json.decode(_addresses_file(state).read_bytes(), type=Addresses)
    except FileNotFoundError:
        return None


def publish(addresses: Addresses, state: Path) -> None:
    """Keep the addresses, and write the settings file that other commands read while the stack is up."""
    _write_secret(_addresses_file(state), msgspec.json.encode(addresses).decode())
    _write_secret(
        _settings_file(state),
        "# Written by `metering dev up`, removed by `metering dev down`.\n"
        f"kafka_bootstrap_servers = {json.dumps(addresses.kafka_bootstrap_servers)}\n"
        f"postgres_dsn = {json.dumps(addresses.postgres_dsn)}\n",
    )


def withdraw(state: Path) -> None:
    """Remove both files: the addresses in them no longer answer."""
    _settings_file(state).unlink(missing_ok=True)
    _addresses_file(state).unlink(missing_ok=True)


def _addresses_file(state: Path) -> Path:
    return state / "addresses.json"


def _settings_file(state: Path) -> Path:
    return state / "metering.toml"


def _write_secret(file: Path, text: str) -> None:
    """Write a file that only we may read, in one step: its readers see the old text or the new."""
    written = file.with_name(f"{file.name}.new")
    written.touch(mode=0o600)
    written.write_text(text)
    written.rename(file)
