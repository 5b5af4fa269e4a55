"""`metering status`: how every partition does, how fresh and how final what is counted is."""

import asyncio
import sys
from typing import Annotated, Final

from cyclopts import Parameter
from rich.live import Live

from aggregator.health.partition import State
from metering.cli.exits import Exit
from metering.cli.failures import report
from metering.cli.output import Json, print_json, stdout_console
from metering.cli.status_document import document
from metering.cli.status_screen import screen
from metering.observer.look import Look, Looks
from metering.settings import Settings, load_settings

IntervalS = Annotated[float, Parameter(help="With `--watch`: seconds between two looks.")]
_LEAST_INTERVAL_S: Final = 0.1


def status(
    *,
    watch: Annotated[bool, Parameter(negative=(), help="Look again and again, until Ctrl-C.")] = False,
    interval_s: IntervalS = 2.0,
    as_json: Json = False,
) -> Exit:
    """Show partitions, owners, lag, states, freshness, finality and what blocks it, refusals and stops.

    The exit code is that of the worst: 5, a partition has stopped; 1, one is not ok; 3, a server is away.
    """
    settings = load_settings()
    if watch:
        asyncio.run(_watch(settings, max(interval_s, _LEAST_INTERVAL_S), as_json=as_json))
    seen = asyncio.run(Looks(settings).look())
    for error in seen.problems.values():
        report(error.code, error.sentence, as_json=as_json)
    if as_json:
        print_json(document(seen))
    else:
        stdout_console().print(screen(seen))
    return exit_of(seen)


def exit_of(seen: Look) -> Exit:
    """What a look ends the command with; what is wrong is worse than what could not be looked at."""
    group = seen.group
    if group is not None and group.state is State.STOPPED:
        return Exit.STOPPED
    if group is not None and group.state is not State.OK:
        return Exit.PROBLEMS
    return Exit.UNREACHABLE if seen.problems or group is None else Exit.OK


async def _watch(settings: Settings, interval_s: float, *, as_json: bool) -> None:
    """Look until interrupted; what a server that is away says is part of the screen."""
    looks = Looks(settings)
    if as_json:
        while True:
            print_json(document(await looks.look()))
            sys.stdout.flush()
            await asyncio.sleep(interval_s)
    with Live(console=stdout_console(), auto_refresh=False) as live:
        while True:
            live.update(screen(await looks.look()), refresh=True)
            await asyncio.sleep(interval_s)
