"""`metering topics`: the usage topic on the brokers and in the database, against its contract."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from metering.cli.exits import Exit
from metering.cli.operator import Who, decided_by
from metering.cli.output import Json, print_json, print_table, say
from metering.settings import load_settings
from metering.topics import Difference, TopicState, apply, compare, load_contract

app = App(name="topics", help="Plan, apply or check the usage topic.")

File = Annotated[
    Path | None,
    Parameter(help="The topic's contract (YAML); by default METERING_TOPIC_FILE or the package's."),
]


@app.command(name="plan")
def plan(*, file: File = None, as_json: Json = False) -> Exit:
    """Show what `apply` would change; exit code 5 if it would refuse."""
    state = _compare(file)
    _show(state, as_json=as_json)
    return Exit.OK if all(difference.applicable for difference in state.differences) else Exit.STOPPED


@app.command(name="check")
def check(*, file: File = None, as_json: Json = False) -> Exit:
    """Show how the topic differs from its contract; exit code 1 if it does."""
    state = _compare(file)
    _show(state, as_json=as_json)
    return Exit.PROBLEMS if state.differences else Exit.OK


@app.command(name="apply")
def apply_(*, file: File = None, who: Who = None, as_json: Json = False) -> None:
    """Create the topic or its missing configs, and make the database count it."""
    settings = load_settings()
    contract = load_contract(settings, file)
    changed = asyncio.run(apply(settings, contract, decided_by(who)))
    if as_json:
        print_json({"topic": contract.name, "changed": [one._asdict() for one in changed]})
    elif changed:
        _table(f"Topic {contract.name}: changed", changed)
    else:
        say(f"Topic {contract.name} is as its contract says.")


def _compare(file: Path | None) -> TopicState:
    settings = load_settings()
    return asyncio.run(compare(settings, load_contract(settings, file)))


def _show(state: TopicState, *, as_json: bool) -> None:
    contract = state.contract
    if as_json:
        print_json({"topic": contract.name, "differences": [one._asdict() for one in state.differences]})
    elif state.differences:
        _table(f"Topic {contract.name}", state.differences)
    else:
        say(f"Topic {contract.name} is as its contract says.")


def _table(title: str, differences: Sequence[Difference]) -> None:
    print_table(
        title,
        ["What", "Found", "Contract", "Code", "By apply"],
        ((one.what, one.found, one.wanted, one.code, one.applicable) for one in differences),
    )
