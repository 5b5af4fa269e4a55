"""The checked-in Prometheus rules, as tests read them."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml
from support.prometheus import SHIPPED

ROOT: Final = Path(__file__).parents[2]
PAGES: Final = ROOT / "docs" / "runbooks"


@dataclass(frozen=True)
class Alert:
    """A rule that tells somebody."""

    name: str
    expr: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]

    @property
    def page(self) -> Path:
        """Where a person finds what to do: `MeteringNoWorker` in `no-worker.md`."""
        return PAGES / f"{re.sub(r'(?<!^)(?=[A-Z])', '-', self.name.removeprefix('Metering')).lower()}.md"

    @property
    def is_direct(self) -> bool:
        """It tells of a fault at once, and not of a rate over hours, or of a past."""
        return "kind" not in self.labels


def rules() -> Iterator[Mapping[str, Any]]:
    for file in sorted((SHIPPED / "rules").glob("*.yaml")):
        for group in yaml.safe_load(file.read_text())["groups"]:
            yield from group["rules"]


def alerts() -> list[Alert]:
    return [
        Alert(rule["alert"], rule["expr"], rule["labels"], rule["annotations"])
        for rule in rules()
        if "alert" in rule
    ]


ALERTS_BY_NAME: Final[Mapping[str, Alert]] = {one.name: one for one in alerts()}
