"""What is up of the local stack, as values for a person or a script."""

from dataclasses import dataclass
from pathlib import Path

from metering.dev.addresses import Addresses


@dataclass(frozen=True, slots=True)
class ServerStatus:
    """One server: where it is, whether it answers, and where to look when it does not."""

    name: str
    address: str  # host:port, without secrets
    pid: int | None  # None: it does not run, or another machine or Docker runs it
    log: Path | None  # None: not ours to read
    answers: bool


@dataclass(frozen=True, slots=True)
class StackStatus:
    """The stack that other commands would use now."""

    addresses: Addresses | None  # None: nothing is up
    servers: tuple[ServerStatus, ...]
