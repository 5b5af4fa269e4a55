"""Series ids for a flush: remembered, found or made."""

from collections.abc import Collection

from aggregator.groups import GroupValues
from aggregator.store.cache import SeriesName, StoreCache
from aggregator.store.connection import json_text
from aggregator.store.sent import Sent


async def series_ids(
    sent: Sent, names: Collection[SeriesName], cache: StoreCache
) -> tuple[dict[SeriesName, int], dict[SeriesName, int]]:
    """The ids of all these series, and of those the cache did not know (to remember after the commit).

    At most three statements, none when the cache knows all: find; make what is not there; and if another
    flush has made some of it meanwhile, find those.
    """
    known: dict[SeriesName, int] = {}
    missing: dict[bytes, SeriesName] = {}
    for name in names:
        series_id = cache.series_id(name)
        if series_id is None:
            missing[name.key()] = name
        else:
            known[name] = series_id
    fresh: dict[SeriesName, int] = {}
    for statement in ("find_series", "insert_series", "find_series"):
        if not missing:
            break
        if statement == "insert_series":
            rows = [(key, n.meter_version_id, n.subject, _json(n.groups)) for key, n in missing.items()]
            found = await sent.fetch(statement, *zip(*rows, strict=True))
        else:
            found = await sent.fetch(statement, list(missing))
        for key, series_id in found:
            fresh[missing.pop(key)] = series_id
    if missing:
        raise RuntimeError(f"{len(missing)} series could be neither made nor found")
    return known | fresh, fresh


def _json(groups: GroupValues | None) -> str | None:
    return None if groups is None else json_text(groups)
