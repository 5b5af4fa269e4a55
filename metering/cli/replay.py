"""`metering replay`: count the log a second time, into a schema beside the one that counted it."""

import re
from pathlib import Path
from typing import Annotated, Final

import uvloop
from cyclopts import Parameter

from aggregator.applying.billing_change import Wanted
from aggregator.applying.billing_plan import Refusal
from metering.cli.exits import Exit
from metering.cli.failures import report
from metering.cli.instants import instant_us
from metering.cli.operator import Who, decided_by
from metering.cli.output import Json, print_json, print_table
from metering.errors import InputRefusedError, UsageError, unreadable
from metering.replay.run import CatalogDoesNotFitError, Recatalogued, Replayed
from metering.replay.run import replay as run
from metering.settings import load_settings
from metering.telemetry import configure_logging
from metering.topics import load_contract
from schemas.catalog import CatalogError, load_catalog
from schemas.instant import format_time

SQL_NAME: Final = re.compile(r"[a-z_][a-z0-9_]{0,62}")


def replay(
    *,
    into: Annotated[str, Parameter(help="The schema to make; it must not hold anything yet.")],
    since: Annotated[
        str | None,
        Parameter(help="Count only windows that start at this instant or later; by default all."),
    ] = None,
    catalog: Annotated[
        Path | None,
        Parameter(
            help="Count by the meters and rate by the terms of this file; by default by those of then."
        ),
    ] = None,
    effective_from: Annotated[
        str | None,
        Parameter(help="Event time from which --catalog holds; by default --since, or the beginning."),
    ] = None,
    who: Who = None,
    as_json: Json = False,
) -> Exit:
    """Count what was counted so far once more, into a schema of its own; `metering compare` compares.

    It reads the log beside the workers, and writes nothing to Kafka nor to the schema that it repeats.
    """
    settings = load_settings()
    if effective_from is not None and catalog is None:
        raise UsageError("usage", "--effective-from is an instant for what --catalog says: give both.")
    settings = settings.model_copy(update={"topic": load_contract(settings).name})
    since_us = instant_us(since, "--since")
    start_us = instant_us(effective_from, "--effective-from")
    if since_us is not None and start_us is not None and start_us < since_us:
        raise UsageError("usage", "--effective-from is before --since: nothing of then is counted again.")
    from_us = since_us if start_us is None else start_us
    other = None if catalog is None else Recatalogued(_wanted(catalog), from_us)
    configure_logging(settings)
    try:
        done = uvloop.run(run(settings, _schema(into), since_us, other, decided_by(who)))
    except CatalogDoesNotFitError as refused:
        for error in refused.errors:
            name = error.name if isinstance(error, Refusal) else error.meter
            report(error.code, f"{catalog}: {name}: {error.sentence}.", as_json=as_json)
        return Exit.REFUSED
    _show(done, as_json=as_json)
    return Exit.OK


def _schema(name: str) -> str:
    if not SQL_NAME.fullmatch(name):
        raise UsageError("usage", f"{name!r} cannot name a schema: write up to 63 of a-z, 0-9 and _.")
    return name


def _wanted(file: Path) -> Wanted:
    """What a catalog file says; of plans and subscriptions, what it does not name stays."""
    try:
        found = load_catalog(file.read_text("utf-8"), str(file))
    except (OSError, UnicodeDecodeError) as error:
        raise unreadable("catalog", file, error) from error
    except CatalogError as error:
        raise InputRefusedError("catalog_invalid", str(error)) from error
    return Wanted(found.meters, found.plans, found.subscriptions, is_whole=False)


def _since(done: Replayed) -> str | None:
    return None if done.since_us is None else format_time(done.since_us)


def _show(done: Replayed, *, as_json: bool) -> None:
    if as_json:
        partitions = [
            {"partition": partition, "first_offset": offsets.start, "next_offset": offsets.stop}
            for partition, offsets in sorted(done.ranges.items())
        ]
        print_json(
            {"schema": done.schema, "topic": done.topic, "since": _since(done), "partitions": partitions}
        )
        return
    since = "" if done.since_us is None else f", windows from {_since(done)} on"
    print_table(
        f"Replayed {done.topic} into {done.schema}{since}",
        ["Partition", "From", "To"],
        ((str(partition), offsets.start, offsets.stop) for partition, offsets in sorted(done.ranges.items())),
    )
