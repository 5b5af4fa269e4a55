"""Log lines to a collector: what goes to stderr, as OpenTelemetry's records with the ids of their spans."""

import json
import logging
import sys
from typing import Any, Final

from opentelemetry._logs import LoggerProvider, SeverityNumber

OWN_PLACE: Final = frozenset({"event", "level", "logger", "timestamp", "trace_id", "span_id", "exc_info"})
"""Fields of a line that a record has places of its own for."""

SENDERS: Final = ("opentelemetry", "urllib3", "requests")
"""Who sends lines, and may not add to them by saying so."""

_SEVERITIES: Final = {
    logging.DEBUG: SeverityNumber.DEBUG,
    logging.INFO: SeverityNumber.INFO,
    logging.WARNING: SeverityNumber.WARN,
    logging.ERROR: SeverityNumber.ERROR,
    logging.CRITICAL: SeverityNumber.FATAL,
}


class LogPush(logging.Handler):
    """Hands each line to a provider that queues it; a full queue drops the oldest.

    The SDK has a handler too, deprecated, that would send our lines as the text of a dictionary.
    """

    def __init__(self, provider: LoggerProvider) -> None:
        super().__init__()
        self._provider = provider
        self.addFilter(lambda record: not record.name.startswith(SENDERS))

    def emit(self, record: logging.LogRecord) -> None:
        """Hand over one line: its event is the body, its fields are attributes."""
        fields: dict[str, Any] = (
            record.msg if isinstance(record.msg, dict) else {"event": record.getMessage()}
        )
        self._provider.get_logger(record.name).emit(
            timestamp=int(record.created * 1e9),
            severity_number=_SEVERITIES.get(record.levelno, SeverityNumber.UNSPECIFIED),
            severity_text=record.levelname,
            body=str(fields["event"]),
            attributes={name: _value(value) for name, value in fields.items() if name not in OWN_PLACE},
            exception=_exception(fields.get("exc_info", record.exc_info)),
        )


def _value(value: object) -> str | bool | int | float:
    """As in the line: what is no plain value is JSON."""
    return value if isinstance(value, (str, bool, int, float)) else json.dumps(value, default=str)


def _exception(exc_info: object) -> BaseException | None:
    """Of all that logging takes for one: itself, what `sys.exc_info` gives, or True for the current."""
    if isinstance(exc_info, BaseException):
        return exc_info
    if isinstance(exc_info, tuple):
        (_, error, _) = exc_info
        return error if isinstance(error, BaseException) else None
    return sys.exc_info()[1] if exc_info else None
