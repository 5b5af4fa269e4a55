"""Why the local stack could not do what was asked."""

from typing import Literal

from metering.errors import MeteringError

StackCode = Literal[
    "half_configured",
    "java_missing",
    "maven_missing",
    "kafka_not_fetched",
    "postgres_missing",
    "no_account",
    "docker_failed",
    "not_started",
    "not_stopped",
    "other_shape",
]


class StackError(MeteringError):
    """The local stack cannot be had as asked; the sentence says what to install or change."""

    def __init__(self, code: StackCode, sentence: str) -> None:
        super().__init__(code, sentence)
