"""Why the local stack could not do what was asked."""

from typing import Final, Literal

EXIT_CODE: Final = 69
"""What `metering dev` exits with on a `StackError`: EX_UNAVAILABLE of sysexits.h."""

StackCode = Literal[
    "half_configured",
    "unreachable",
    "java_missing",
    "maven_missing",
    "kafka_not_fetched",
    "postgres_missing",
    "no_account",
    "not_started",
    "not_stopped",
    "other_shape",
]


class StackError(Exception):
    """A refusal: `code` is stable, the message says in a sentence what to do."""

    def __init__(self, code: StackCode, message: str) -> None:
        super().__init__(message)
        self.code: StackCode = code
