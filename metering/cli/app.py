"""The command line: one lazily imported module per command group, and one place where failures end."""

import logging
import os
import sys
import traceback
from collections.abc import Sequence
from importlib.metadata import version

import stamina
from cyclopts import App, CycloptsError, Group

from metering.cli.exits import Exit

_SET_UP = Group("Setting up", sort_key=1)
_COUNT = Group("Counting", sort_key=2)
_SERVE = Group("Serving", sort_key=3)
_LOOK = Group("Looking", sort_key=4)
_OPERATE = Group("Operating", sort_key=5)

app = App(
    name="metering",
    help="Exact usage metering: events in Kafka, counted once, into Postgres rating windows.",
    help_epilogue="Settings come from METERING_… variables and metering.toml: see `metering config`.",
    version=lambda: version("metering"),
    help_format="plaintext",
    exit_on_error=False,
    print_error=False,
    result_action="return_value",
    suppress_keyboard_interrupt=False,
)

for group, commands in {
    _SET_UP: {
        "dev": ("dev:app", "Start, stop or show the local Kafka and Postgres."),
        "migrate": ("migrate:migrate", "Bring the database schema to this release."),
        "topics": ("topics:app", "Plan, apply or check the usage topic."),
        "catalog": ("catalog:app", "Plan, apply or show meters, plans and subscriptions."),
    },
    _COUNT: {
        "publish": ("publish:publish", "Publish CloudEvents from JSON lines or a CSV file."),
        "void": ("publish:void", "Withdraw events that were published by mistake."),
        "worker": ("worker:worker", "Count what is in the topic."),
        "close": ("close:close", "Make windows final when nothing on time can follow."),
        "rate": ("rate:rate", "Price what has become final."),
        "prove": ("prove:prove", "Recount what was counted, again and again, and compare."),
        "observe": ("observe:observe", "Report how everything stands, whoever is at work."),
    },
    _SERVE: {
        "api": ("api:api", "Serve what was counted and rated over HTTP."),
    },
    _LOOK: {
        "totals": ("totals:totals", "Show what was counted."),
        "rated": ("rated:rated", "Show what periods come to."),
        "unrated": ("unrated:show", "Show usage that nobody pays for, and who has fallen silent."),
        "status": ("status:status", "Show partitions, lag and what is refused."),
        "finality": ("finality:finality", "Show what is final, what is next and what blocks it."),
        "doctor": ("doctor:doctor", "Check the configuration, the servers and the ledger."),
        "quarantine": ("quarantine:app", "List or show refused records."),
        "explain": ("explain:explain", "Show what a number was made of, and whether the log still says so."),
        "replay": ("replay:replay", "Count the log once more, into a schema beside."),
        "compare": ("compare:compare", "Show what differs between what was counted and a replay."),
        "config": ("config:config", "Show every setting and where it comes from."),
    },
    _OPERATE: {
        "promote": ("promote:promote", "Make what a replay has found part of what was counted."),
        "partition": ("partition:app", "Decide about a partition that has stopped."),
        "token": ("tokens:app", "Make, list, rotate or revoke tokens of the HTTP API."),
        "audit": ("audit:audit", "Show who wrote what."),
    },
}.items():
    for name, (target, help_text) in commands.items():
        app.command(f"metering.cli.{target}", name=name, help=help_text, group=group)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and give its exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    # Its errors come back to us and are worded once; the worker's log turns it on again.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    stamina.instrumentation.set_on_retry_hooks(())  # they would print among a command's output
    try:
        code = app(arguments)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except BrokenPipeError:
        # Whoever read the output has seen enough; Python would complain again while it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.OK
    except Exception as error:  # noqa: BLE001 - the one place where every failure ends
        return _end(error, as_json="--json" in arguments)
    return Exit.OK if code is None else code


def _end(error: Exception, *, as_json: bool) -> Exit:
    # Imported here: `--help` has no use for them, and should be quick.
    from aggregator.store.errors import StoreError  # noqa: PLC0415
    from metering.cli.failures import exit_code, report, sentence_of  # noqa: PLC0415
    from metering.errors import MeteringError  # noqa: PLC0415

    match error:
        case CycloptsError():
            report("usage", f"{error}", as_json=as_json)
            return Exit.USAGE
        case MeteringError() | StoreError():
            report(error.code, sentence_of(error), as_json=as_json)
            return exit_code(error)
        case _:
            traceback.print_exception(error)
            return Exit.BUG
