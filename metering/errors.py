"""Failures that are expected: each has a stable code and a sentence that says what to do."""

from pathlib import Path


class MeteringError(Exception):
    """The base of every failure that a person is told in one sentence, never as a traceback."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(f"{code}: {sentence}")
        self.code = code
        self.sentence = sentence


class UsageError(MeteringError):
    """The command line or a setting cannot be what was meant."""


class UnreachableError(MeteringError):
    """A broker or a database does not answer, or does not let us in."""


class InputRefusedError(MeteringError):
    """A file, a document or an event breaks its contract."""


class StoppedError(MeteringError):
    """Going on would count wrongly; a person has to decide."""


def unreadable(what: str, path: Path | None, error: Exception) -> InputRefusedError:
    """Word that a file cannot be read; the code is `<what>_unreadable`."""
    reason = error.strerror if isinstance(error, OSError) and error.strerror else error
    return InputRefusedError(f"{what}_unreadable", f"{path} cannot be read: {reason}.")
