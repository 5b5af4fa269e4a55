"""Time zones of the pinned tzdata package: one set of rules on every machine, so that replays agree.

`ZoneInfo("Europe/Berlin")` would prefer the machine's own files, whatever their age.
"""

from functools import cache
from importlib.resources import files
from typing import Final
from zoneinfo import ZoneInfo

_PACKAGE: Final = "tzdata"


@cache
def zone_names() -> frozenset[str]:
    """Every name of the IANA database, links such as `Asia/Calcutta` included."""
    return frozenset(files(_PACKAGE).joinpath("zones").read_text("utf-8").split())


@cache
def zone(name: str) -> ZoneInfo:
    """The zone of a name.

    Raises:
        ValueError: the IANA database has no such zone.
    """
    if name not in zone_names():
        raise ValueError(f"{name} is no zone of the IANA database")
    with files(_PACKAGE).joinpath("zoneinfo", *name.split("/")).open("rb") as rules:
        return ZoneInfo.from_file(rules, key=name)
