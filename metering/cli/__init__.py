"""The `metering` command."""

import sys

from metering.cli.app import main as run

__all__ = ["main"]


def main() -> None:
    """Run the command of this process and exit."""
    sys.exit(run())
