"""Expected failures, told in a sentence on standard error, and the exit code of each."""

import json
import sys
from typing import Final

from rich.text import Text

from aggregator.store.errors import StoreError
from metering.cli.exits import Exit
from metering.cli.output import stderr_console
from metering.dev.errors import StackError
from metering.errors import InputRefusedError, MeteringError, StoppedError, UnreachableError, UsageError

_EXITS: Final[dict[type[MeteringError], Exit]] = {
    UsageError: Exit.USAGE,
    UnreachableError: Exit.UNREACHABLE,
    StackError: Exit.UNREACHABLE,
    InputRefusedError: Exit.REFUSED,
    StoppedError: Exit.STOPPED,
}
_NOT_SET_UP: Final = frozenset({"topic_not_applied", "schema_not_migrated"})


def exit_code(error: MeteringError | StoreError) -> Exit:
    """The exit code that a failure ends the command with."""
    if isinstance(error, StoreError):
        return Exit.UNREACHABLE if error.code in _NOT_SET_UP else Exit.STOPPED
    return next(code for kind, code in _EXITS.items() if isinstance(error, kind))


def report(code: str, sentence: str, *, as_json: bool, **details: str | int) -> None:
    """Tell of a failure: a sentence for a person, a problem object (RFC 9457) on a line for a machine."""
    if as_json:
        problem = {"type": f"urn:metering:problem:{code}", "title": code, "detail": sentence, **details}
        sys.stderr.write(json.dumps(problem, ensure_ascii=False) + "\n")
        return
    where = "".join(f"{name} {value}: " for name, value in details.items())
    stderr_console().print(
        Text.assemble((f"{code}", "bold red"), ": ", where, sentence), soft_wrap=True, highlight=False
    )


def sentence_of(error: MeteringError | StoreError) -> str:
    """What a failure says, as a whole sentence."""
    if isinstance(error, MeteringError):
        return error.sentence
    text = str(error)
    return f"{text[:1].upper()}{text[1:]}."
