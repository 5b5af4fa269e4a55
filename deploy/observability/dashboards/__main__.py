"""Writes the dashboards of `generated/`: `python -m deploy.observability.dashboards [--check]`."""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from deploy.observability.dashboards.accuracy import accuracy
from deploy.observability.dashboards.customer import customer
from deploy.observability.dashboards.ingestion import ingestion
from deploy.observability.dashboards.on_call import on_call
from schemas.generate import stale

_GENERATED: Final = Path(__file__).parent / "generated"


def texts() -> Mapping[str, str]:
    """The JSON of every dashboard, by file name."""
    encoder = JSONEncoder(indent=2, sort_keys=True, ensure_ascii=False)
    return {
        f"{built.uid}.json": encoder.encode(numbered(built)) + "\n"
        for built in (each.build() for each in (on_call(), ingestion(), accuracy(), customer()))
    }


def numbered(built: Dashboard) -> Dashboard:
    """Give each panel a number, by which Grafana's addresses know it."""
    for number, panel in enumerate(built.panels or (), start=1):
        panel.id_val = number
    return built


def main(arguments: Sequence[str]) -> int:
    """Write the dashboards, or with `--check` only say whether they are up to date."""
    parser = argparse.ArgumentParser(prog="python -m deploy.observability.dashboards", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if a dashboard is stale")
    if parser.parse_args(arguments).check:
        difference = stale(_GENERATED, texts())
        sys.stdout.writelines(difference)
        return 1 if difference else 0
    for name, text in texts().items():
        (_GENERATED / name).write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
