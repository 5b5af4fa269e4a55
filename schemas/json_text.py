"""JSON texts, read strictly and with the digits of every number kept."""

import json
import re
from typing import Final, NoReturn

from schemas.codes import Code, Refused
from schemas.event import NumberLiteral

MAX_NESTING: Final = 256
"""Levels of objects and arrays in one text. Fixed, so that no stack's depth decides about an event."""

SURELY_SHALLOW: Final = 2 * MAX_NESTING
"""A JSON text of so many characters has no room for more levels: each is opened and closed."""

_STRING_OR_BRACKET: Final = re.compile(r'"(?:[^"\\]|\\.)*+"|[\[{\]}]', re.DOTALL)


def read_json(text: str) -> object:
    """The value of a JSON text (RFC 8259); of keys given twice the last counts.

    Raises:
        Refused: it is not JSON, has `NaN` or `Infinity`, or nests deeper than `MAX_NESTING`.
    """
    if nests_too_deeply(text):
        raise Refused(Code.NESTED_TOO_DEEPLY, f"more than {MAX_NESTING} levels")
    try:
        return json.loads(
            text, parse_int=NumberLiteral, parse_float=NumberLiteral, parse_constant=_refuse_constant
        )
    except json.JSONDecodeError as error:
        raise Refused(Code.NOT_JSON, f"{error.msg} at character {error.pos}") from None


def nests_too_deeply(text: str) -> bool:
    """Whether objects and arrays nest deeper than `MAX_NESTING`, without reading the text."""
    if text.count("{") + text.count("[") <= MAX_NESTING:
        return False
    depth = 0
    for token in _STRING_OR_BRACKET.finditer(text):
        match token[0]:
            case "{" | "[":
                depth += 1
                if depth > MAX_NESTING:
                    return True
            case "}" | "]":
                depth -= 1
    return False


def _refuse_constant(name: str) -> NoReturn:
    raise Refused(Code.NOT_A_NUMBER, name)
