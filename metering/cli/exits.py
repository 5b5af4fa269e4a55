"""What the exit codes of `metering` mean; scripts rely on them."""

from enum import IntEnum
from typing import Self


class Exit(IntEnum):
    """Exit codes of every command; `docs/cli.md` lists them from here."""

    OK = 0, "Done, and nothing is wrong."
    PROBLEMS = 1, "Done, and something is not as it should be: it is listed."
    USAGE = 2, "The command line or a setting is wrong; nothing was done."
    UNREACHABLE = 3, "A broker or a database does not answer, or is not set up; try again when it is."
    REFUSED = 4, "Input was refused: each refusal has its code and sentence."
    STOPPED = 5, "Going on would count wrongly: a person has to decide."
    BUG = 70, "An unexpected error, with a traceback: please report it."
    INTERRUPTED = 130, "Ended by the keyboard (SIGINT)."

    meaning: str

    def __new__(cls, code: int, meaning: str) -> Self:
        """Make a code that carries its meaning."""
        member = int.__new__(cls, code)
        member._value_ = code
        member.meaning = meaning
        return member
