"""The named statements of `sql/*.sql`: a line `-- name: <name>` begins each."""

import re
from collections.abc import Iterable, Mapping
from importlib.resources import files
from types import MappingProxyType
from typing import Final

_HEADER: Final = re.compile(r"^-- name: (?P<name>[a-z][a-z0-9_]*)$", re.MULTILINE)


def parse(texts: Iterable[str]) -> Mapping[str, str]:
    """The statements of some files, by name.

    Raises:
        ValueError: a name is used twice, a statement is empty, or text stands before the first name.
    """
    statements: dict[str, str] = {}
    for text in texts:
        before, *parts = _HEADER.split(text)
        if any(line and not line.startswith("--") for line in before.splitlines()):
            raise ValueError(f"a statement without a name: {before.strip()[:80]}")
        for name, body in zip(parts[::2], parts[1::2], strict=True):
            if name in statements:
                raise ValueError(f"two statements are named {name}")
            if not body.strip():
                raise ValueError(f"the statement {name} is empty")
            statements[name] = body.strip().removesuffix(";")
    return MappingProxyType(statements)


STATEMENTS: Final = parse(
    file.read_text("utf-8")
    for file in sorted(files(__package__).joinpath("sql").iterdir(), key=lambda file: file.name)
    if file.name.endswith(".sql")
)
"""Every statement there is; frozen."""
