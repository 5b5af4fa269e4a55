"""The `metering` command."""

import sys

from metering.cli.app import main as run
from metering.process.tuning import tune

__all__ = ["main"]


def main() -> None:
    """Run the command of this process and exit."""
    tune()
    sys.exit(run())
