"""Writes `schemas/generated/openapi.json` from the app: `python -m metering.api.openapi [--check]`."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import schemas
from metering.api.app import make_app
from metering.api.database import Database
from metering.api.limits import RateLimit
from metering.api.services import Services
from metering.settings import Settings
from metering.telemetry import no_telemetry
from schemas.generate import OPENAPI, stale

_FOLDER: Final = Path(schemas.__file__).parent / "generated"


def document() -> dict[str, Any]:
    """The OpenAPI document of the app; no server is asked."""
    settings = Settings.model_construct()
    telemetry = no_telemetry()
    return make_app(
        Services(settings, telemetry, Database(settings, telemetry.instruments), RateLimit(1, 1))
    ).openapi()


def main(arguments: Sequence[str]) -> int:
    """Write the document, or with `--check` only say whether it is up to date."""
    parser = argparse.ArgumentParser(prog="python -m metering.api.openapi", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if the document is stale")
    text = json.dumps(document(), indent=2, ensure_ascii=False) + "\n"
    if parser.parse_args(arguments).check:
        difference = stale(_FOLDER, {OPENAPI: text}, [OPENAPI])
        sys.stdout.writelines(difference)
        return 1 if difference else 0
    (_FOLDER / OPENAPI).write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
