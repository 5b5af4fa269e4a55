"""`metering dev`: the local Kafka and Postgres."""

import asyncio
from typing import Annotated

from cyclopts import App, Parameter

from metering.cli.exits import Exit
from metering.cli.output import Json, print_json, print_table, say, stderr_console
from metering.dev import addresses, stack
from metering.dev.addresses import Addresses
from metering.settings import mask_password

app = App(name="dev", help="Start, stop or show the local Kafka and Postgres.")


@app.command
def up(
    *,
    brokers: Annotated[int, Parameter(help="Kafka brokers to run.")] = 1,
    as_json: Json = False,
) -> None:
    """Start the stack, or say which one is used: the environment's, Docker's, or local processes."""
    console = stderr_console()
    running = asyncio.run(stack.up(addresses.state_dir(), say=console.print, brokers=brokers))
    if as_json:
        print_json(_public(running))
    else:
        say(f"Kafka at {running.kafka_bootstrap_servers}, Postgres at {mask_password(running.postgres_dsn)}.")


@app.command
def down(
    *,
    purge: Annotated[bool, Parameter(negative=(), help="Delete the data too.")] = False,
    as_json: Json = False,
) -> None:
    """Stop what `up` started; the data stay for the next `up`."""
    state = addresses.state_dir()
    asyncio.run(stack.purge(state) if purge else stack.down(state))
    if as_json:
        print_json({"stopped": True, "purged": purge})
    else:
        say("Stopped, and the data deleted." if purge else "Stopped. The data are kept.")


@app.command
def status(*, as_json: Json = False) -> Exit:
    """Show what is up; exit code 1 if something is not."""
    found = asyncio.run(stack.status(addresses.state_dir()))
    if as_json:
        print_json(
            {
                "addresses": None if found.addresses is None else _public(found.addresses),
                "servers": [
                    {
                        "name": server.name,
                        "address": server.address,
                        "pid": server.pid,
                        "log": None if server.log is None else str(server.log),
                        "answers": server.answers,
                    }
                    for server in found.servers
                ],
            }
        )
    elif found.addresses is None and not found.servers:
        say("Nothing is up: `metering dev up` starts a local stack.")
    else:
        _show(found.addresses)
        print_table(
            "Servers",
            ["Server", "Address", "Process", "Answers", "Log"],
            ((one.name, one.address, str(one.pid or "-"), one.answers, one.log) for one in found.servers),
        )
    is_up = found.addresses is not None and all(server.answers for server in found.servers)
    return Exit.OK if is_up else Exit.PROBLEMS


def _show(running: Addresses | None) -> None:
    if running is not None:
        say(
            f"Kafka at {running.kafka_bootstrap_servers}, Postgres at {mask_password(running.postgres_dsn)} "
            f"({running.source})."
        )


def _public(running: Addresses) -> dict[str, str]:
    return {
        "kafka_bootstrap_servers": running.kafka_bootstrap_servers,
        "postgres_dsn": mask_password(running.postgres_dsn),
        "source": running.source,
    }
