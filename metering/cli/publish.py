"""`metering publish` and `void`: CloudEvents from JSON lines or a CSV file, or their voids, into a topic."""

import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import uvloop
from cyclopts import Parameter
from opentelemetry.trace import Tracer
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from metering.cli.exits import Exit
from metering.cli.failures import exit_code, report
from metering.cli.output import Json, print_json, say, stderr_console
from metering.errors import MeteringError, UsageError
from metering.publisher import EventRefused, Publisher
from metering.publisher.csv_rows import csv_lines
from metering.publisher.lines import STDIN, Line, json_lines
from metering.publisher.mapping import load_mapping
from metering.publisher.run import publish_lines
from metering.settings import Settings, load_settings
from metering.telemetry import start_telemetry
from metering.topics import counted_contract
from schemas.catalog import duration_s


def publish(
    file: Annotated[
        Path | None, Parameter(allow_leading_hyphen=True, help="JSON lines; `-` reads standard input.")
    ] = None,
    *,
    csv: Annotated[Path | None, Parameter(help="A CSV file with a header, instead of JSON lines.")] = None,
    mapping: Annotated[Path | None, Parameter(help="Which CSV column goes where (YAML).")] = None,
    tick: Annotated[bool, Parameter(negative=(), help="End with ticks at the newest event's time.")] = False,
    tick_after: Annotated[str | None, Parameter(help="End with ticks this much after it: 15m, 2h.")] = None,
    strict: Annotated[bool, Parameter(negative=(), help="Stop at the first refused line.")] = False,
    as_json: Json = False,
) -> Exit:
    """Publish events, each validated first; a refused line is reported, and the rest is sent.

    Exit code 4: lines were refused. Ticks are for topics with `clock: record`.
    """
    lines, size_bytes = _source(file, csv, mapping)
    settings = load_settings()
    tick_after_us = _tick_after_us(tick_after, tick=tick)
    run = _Run(settings, lines, size_bytes, tick_after_us, strict, as_json)
    return uvloop.run(run.run())


def void(
    file: Annotated[
        Path | None, Parameter(allow_leading_hyphen=True, help="JSON lines; `-` reads standard input.")
    ] = None,
    *,
    csv: Annotated[Path | None, Parameter(help="A CSV file with a header, instead of JSON lines.")] = None,
    mapping: Annotated[Path | None, Parameter(help="Which CSV column goes where (YAML).")] = None,
    strict: Annotated[bool, Parameter(negative=(), help="Stop at the first refused line.")] = False,
    as_json: Json = False,
) -> Exit:
    """Withdraw events that were published by mistake: give them once more, exactly as they were.

    For each a void is published, which takes back what the event has counted, once. Exit code 4: lines were
    refused.
    """
    lines, size_bytes = _source(file, csv, mapping)
    run = _Run(load_settings(), lines, size_bytes, None, strict, as_json, withdraws=True)
    return uvloop.run(run.run())


@dataclass(slots=True)
class _Run:
    settings: Settings
    lines: AsyncIterator[Line]
    size_bytes: int | None
    tick_after_us: int | None
    strict: bool
    as_json: bool
    withdraws: bool = False
    refused: int = 0
    acknowledged: int = 0

    async def run(self) -> Exit:
        telemetry = start_telemetry(self.settings, "publisher")
        try:
            contract = await counted_contract(self.settings)
            if self.tick_after_us is not None and contract.clock != "record":
                raise UsageError(
                    "ticks_by_broker",
                    f"{contract.name} has the broker's clock: its ticks come from the worker.",
                )
            publisher = Publisher(self.settings, contract, telemetry.instruments)
            try:
                async with publisher:
                    await self._publish(publisher, telemetry.tracer)
            finally:
                self.acknowledged = publisher.acknowledged
        except _Enough:
            return self._end(Exit.REFUSED)
        except MeteringError as error:
            report(error.code, error.sentence, as_json=self.as_json)
            return self._end(exit_code(error))
        finally:
            telemetry.close()
        return self._end(Exit.REFUSED if self.refused else Exit.OK)

    async def _publish(self, publisher: Publisher, tracer: Tracer) -> None:
        with self._progress() as progress, tracer.start_as_current_span("publish"):
            task = progress.add_task("Publishing", total=self.size_bytes)
            await publish_lines(
                publisher,
                self.lines,
                send=publisher.void if self.withdraws else publisher.publish,
                on_refused=self._on_refused,
                on_progress=lambda size_bytes: progress.advance(task, size_bytes),
            )
            if self.tick_after_us is not None:
                if publisher.newest_us is None:
                    raise UsageError(
                        "ticks_without_events",
                        "No event was published, so there is no time to tick at: give some that were.",
                    )
                await publisher.tick(publisher.newest_us + self.tick_after_us)

    def _on_refused(self, number: int, refusal: EventRefused) -> None:
        self.refused += 1
        report(refusal.code, refusal.sentence, as_json=self.as_json, line=number)
        if self.strict:
            raise _Enough

    def _end(self, code: Exit) -> Exit:
        if self.as_json:
            print_json({"refused": self.refused}, {"published": self.acknowledged})
        else:
            say(f"{self.acknowledged:,} published, {self.refused:,} refused.")
        return code

    def _progress(self) -> Progress:
        columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
        return Progress(
            *columns,
            console=stderr_console(),
            transient=True,
            disable=self.as_json or not sys.stderr.isatty(),
        )


class _Enough(Exception):  # noqa: N818 - a decision
    """`--strict` has seen a refused line."""


def _source(
    file: Path | None, csv: Path | None, mapping: Path | None
) -> tuple[AsyncIterator[Line], int | None]:
    if (file is None) == (csv is None) or (csv is None) != (mapping is None):
        raise UsageError(
            "usage", "Name a FILE of JSON lines (or -), or --csv FILE together with --mapping FILE."
        )
    path = csv or file
    if path is None or path == STDIN:
        return json_lines(STDIN), None
    size_bytes = path.stat().st_size if path.is_file() else None
    if mapping is not None:
        return _one_by_one(path, mapping), size_bytes
    return json_lines(path), size_bytes


async def _one_by_one(csv: Path, mapping: Path) -> AsyncIterator[Line]:
    for line in csv_lines(csv, load_mapping(mapping)):
        yield line


def _tick_after_us(tick_after: str | None, *, tick: bool) -> int | None:
    if tick_after is None:
        return 0 if tick else None
    try:
        return duration_s(tick_after) * 1_000_000
    except (ValueError, KeyError, IndexError):
        raise UsageError("usage", f"--tick-after {tick_after} is no duration: write 15m, 2h or 1d.") from None
