"""Series ids for a flush: remembered, found or made."""

from collections.abc import Sequence
from hashlib import blake2b
from typing import Final

from aggregator.groups import GroupValues
from aggregator.store.cache import SeriesName, StoreCache
from aggregator.store.connection import json_text
from aggregator.store.sent import Sent

_NULL: Final = b"\xff\xff\xff\xff"


async def series_ids(
    sent: Sent, names: Sequence[SeriesName], cache: StoreCache
) -> tuple[list[int], dict[SeriesName, int]]:
    """The id of each series, and those that the cache did not know, to be remembered after the commit.

    At most three statements, none when the cache knows all: find; make what is not there; and if another
    flush has made some of it meanwhile, find those.
    """
    remembered = cache.series_ids(names)
    missing = {
        series_key(name): name for name, series_id in zip(names, remembered, strict=True) if series_id is None
    }
    fresh: dict[SeriesName, int] = {}
    for statement in ("find_series", "insert_series", "find_series"):
        if not missing:
            break
        if statement == "insert_series":
            rows = [
                (key, version, subject, _json(groups)) for key, (version, subject, groups) in missing.items()
            ]
            found = await sent.fetch(statement, *zip(*rows, strict=True))
        else:
            found = await sent.fetch(statement, list(missing))
        for key, series_id in found:
            fresh[missing.pop(key)] = series_id
    return [
        fresh[name] if series_id is None else series_id
        for name, series_id in zip(names, remembered, strict=True)
    ], fresh


def series_key(name: SeriesName) -> bytes:
    """16 bytes that stand for a series: BLAKE2b (RFC 7693) of a length-prefixed encoding of its name."""
    meter_version_id, subject, groups = name
    parts = [meter_version_id.to_bytes(4, "big"), _prefixed(subject)]
    if groups is not None:
        parts += [len(groups).to_bytes(4, "big"), *map(_prefixed, groups)]
    return blake2b(b"".join(parts), digest_size=16).digest()


def _prefixed(text: str | None) -> bytes:
    if text is None:
        return _NULL
    encoded = text.encode()
    return len(encoded).to_bytes(4, "big") + encoded


def _json(groups: GroupValues | None) -> str | None:
    return None if groups is None else json_text(groups)
