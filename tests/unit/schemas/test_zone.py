"""Zones come from the pinned package, never from the machine."""

import zoneinfo
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from schemas import zone as module
from schemas.zone import zone, zone_names


@pytest.fixture
def machine_with_other_rules(tmp_path: Path) -> Iterator[None]:
    """A machine on which Berlin is where Tokyo is."""
    folder = tmp_path / "Europe"
    folder.mkdir()
    tokyo = module.files("tzdata").joinpath("zoneinfo", "Asia", "Tokyo").read_bytes()
    folder.joinpath("Berlin").write_bytes(tokyo)
    before = zoneinfo.TZPATH
    zoneinfo.reset_tzpath([str(tmp_path)])
    zoneinfo.ZoneInfo.clear_cache()
    zone.cache_clear()
    yield
    zoneinfo.reset_tzpath(before)
    zoneinfo.ZoneInfo.clear_cache()
    zone.cache_clear()


@pytest.mark.usefixtures("machine_with_other_rules")
def test_the_machines_rules_do_not_matter() -> None:
    instant = datetime(2026, 1, 1, tzinfo=UTC)
    assert instant.astimezone(zoneinfo.ZoneInfo("Europe/Berlin")).hour == 9
    assert instant.astimezone(zone("Europe/Berlin")).hour == 1


def test_every_name_has_rules() -> None:
    assert {"UTC", "Europe/Berlin", "Asia/Calcutta"} <= zone_names()
    assert {zone(name).key for name in zone_names()} == zone_names()


@pytest.mark.parametrize("name", ["", "europe/berlin", "../zones", "/etc/localtime", "Europe"])
def test_what_is_no_zone_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="is no zone"):
        zone(name)
