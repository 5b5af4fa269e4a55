"""An event that is not sent, and why."""

from metering.errors import InputRefusedError
from schemas.authority import judge
from schemas.codes import SENTENCES, Code, Refused
from schemas.control_types import RESERVED_PREFIX, VOID_TYPE
from schemas.event import UsageEvent


class EventRefused(InputRefusedError):  # noqa: N818 - a refusal is an outcome here, not a fault
    """The event breaks its contract; `code` says how, `sentence` what to do."""

    @classmethod
    def because(cls, code: Code, detail: str) -> "EventRefused":
        """Word a refusal of the contract: its own sentence, then what exactly was wrong."""
        return cls(code, f"{SENTENCES[code]} ({detail})")


def checked(value: bytes) -> UsageEvent:
    """The event in a structured-mode value, exactly as the pipeline will read it.

    Raises:
        EventRefused: there is none, or it has a type that only the pipeline may write.
    """
    try:
        event = judge(value, ())
    except Refused as refused:
        raise EventRefused.because(refused.code, refused.detail) from None
    if event.type.startswith(RESERVED_PREFIX) and event.type != VOID_TYPE:
        raise EventRefused.because(Code.RESERVED_TYPE, event.type)
    return event
