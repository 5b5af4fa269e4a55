"""The header of a repair record: which refused record it brings back."""

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from schemas.codes import Code, Refused

REPAIR_HEADER: Final = "metering-repair"
"""The Kafka header's name; its value is `partition=…;offset=…;code=…[;meter_version=…]`."""

MAX_REPAIR_BYTES: Final = 192
"""What this header takes in the log at most."""

# As many digits as every number of the kind has that an integer or bigint of the database can hold.
_PARTITION: Final = "(0|[1-9][0-9]{0,8})"
_OFFSET: Final = "(0|[1-9][0-9]{0,17})"
_METER_VERSION: Final = "([1-9][0-9]{0,8})"
_ORIGIN: Final = (
    f"partition={_PARTITION};offset={_OFFSET};code=([a-z0-9_]+)(?:;meter_version={_METER_VERSION})?"
)
REPAIR_HEADER_PATTERN: Final = f"^{_ORIGIN}$"


class RepairHeaderRefused(Refused):
    """A repair header that this system does not write: `bad_repair_header`."""

    def __init__(self, detail: str) -> None:
        super().__init__(Code.BAD_REPAIR_HEADER, detail)


class RepairOrigin(NamedTuple):
    """Where a repair record was refused first, why, and for which meter version if for one alone."""

    partition: int
    offset: int
    code: Code
    meter_version_id: int | None = None

    def encode(self) -> bytes:
        """The header's value."""
        text = f"partition={self.partition};offset={self.offset};code={self.code}"
        if self.meter_version_id is not None:
            text += f";meter_version={self.meter_version_id}"
        return text.encode()

    @classmethod
    def parse(cls, header: bytes) -> "RepairOrigin":
        """The origin that a header's value names, exactly as `encode` writes it.

        Raises:
            RepairHeaderRefused: it is anything else.
        """
        match = re.fullmatch(_ORIGIN, header.decode("ascii", errors="replace"))
        if match is None:
            raise RepairHeaderRefused(f"not a repair header: {header[:200]!r}")
        partition, offset, name, meter_version = match.groups()
        try:
            code = Code(name)
        except ValueError:
            raise RepairHeaderRefused(f"no such code: {name}") from None
        return cls(int(partition), int(offset), code, None if meter_version is None else int(meter_version))


def repair_origin(headers: Sequence[tuple[str, bytes | None]]) -> RepairOrigin | None:
    """The origin named by a record's headers; None if the record is live.

    Raises:
        RepairHeaderRefused: the header is malformed, or there are several.
    """
    values = [value for name, value in headers if name == REPAIR_HEADER]
    if not values:
        return None
    if len(values) > 1 or values[0] is None:
        raise RepairHeaderRefused("a repair record has exactly one repair header, with a value")
    return RepairOrigin.parse(values[0])
