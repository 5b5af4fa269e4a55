"""What the auditor finds wrong: named by its place, so that the same is known again."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self


class Kind(StrEnum):
    """What does not hold."""

    WINDOW = "window"  # a final window is not what the log comes to
    ADJUSTMENT = "adjustment"  # nor is a row beside a window
    RECORDS = "records"  # a batch accounts for other records than lie in the log
    IDS = "ids"  # an id of a counted event is not remembered
    LEDGER = "ledger"  # ranges do not join
    CONSERVATION = "conservation"  # what a batch says was kept is not there
    TOTALS = "totals"  # a partition's sums are not those of its parts
    LOG = "log"  # Kafka's log does not reach where it was counted, or was deleted before


@dataclass(frozen=True, slots=True)
class Finding:
    """Two sides that should say the same."""

    kind: Kind
    sentence: str
    place: Mapping[str, Any]  # JSON: what it is about
    expected: Any  # JSON
    found: Any  # JSON

    @property
    def identity(self) -> str:
        """The same whenever the same thing is wrong."""
        return f"{self.kind} {json.dumps(self.place, sort_keys=True)}"

    def document(self) -> dict[str, Any]:
        """As JSON, with fixed keys."""
        return {
            "kind": self.kind.value,
            "sentence": self.sentence,
            "place": dict(self.place),
            "expected": self.expected,
            "found": self.found,
        }

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Self:
        """What `document` has made."""
        return cls(
            Kind(document["kind"]),
            document["sentence"],
            document["place"],
            document["expected"],
            document["found"],
        )
