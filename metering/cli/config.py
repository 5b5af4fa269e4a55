"""`metering config`: every setting, and where it comes from."""

from metering.cli.exits import Exit
from metering.cli.failures import report
from metering.cli.output import Json, print_json, print_table
from metering.settings import load_settings, show_settings, unknown_variables


def config(*, as_json: Json = False) -> Exit:
    """Show every setting, its value (secrets hidden) and where it comes from."""
    shown = show_settings(load_settings())
    if as_json:
        print_json(*(one._asdict() for one in shown))
    else:
        print_table(
            "Settings",
            ["Setting", "Value", "From", "Meaning"],
            ((one.name, _text(one.value), one.origin, one.description) for one in shown),
        )
    unknown = unknown_variables()
    for variable in unknown:
        report("unknown_variable", f"{variable} is set, but there is no such setting.", as_json=as_json)
    return Exit.PROBLEMS if unknown else Exit.OK


def _text(value: object) -> str | None:
    return None if value is None else str(value)
