"""The compose file and what it mounts, as far as they can be read without Docker."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from support.dashboards import dashboards, panels
from support.prometheus import SHIPPED

FOLDER: Final = Path(__file__).parents[3] / "deploy" / "compose"
COMPOSE: Final[dict[str, Any]] = yaml.safe_load((FOLDER / "compose.yaml").read_text())
SERVICES: Final[Mapping[str, Any]] = COMPOSE["services"]
PROFILE: Final = "observability"


def test_the_servers_alone_start_without_a_profile() -> None:
    assert {name for name, one in SERVICES.items() if "profiles" not in one} == {"kafka", "postgres"}
    assert all(one.get("profiles", [PROFILE]) == [PROFILE] for one in SERVICES.values())


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_pinned_and_stays_on_this_machine(name: str) -> None:
    service = SERVICES[name]
    image = service["image"].rpartition(":-")[2].rstrip("}")
    assert image.partition(":")[2] not in {"", "latest"}
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))


@pytest.mark.parametrize("name", SERVICES)
def test_what_a_service_needs_is_there(name: str) -> None:
    service = SERVICES[name]
    assert set(service.get("depends_on", ())) <= SERVICES.keys()
    for volume in service.get("volumes", ()):
        source = volume.partition(":")[0]
        assert (FOLDER / source).exists() if source.startswith(".") else source in COMPOSE["volumes"]
    if "build" in service:
        assert (FOLDER / service["build"]["context"] / service["build"]["dockerfile"]).exists()


def test_prometheus_scrapes_every_process_that_goes_on() -> None:
    groups = yaml.safe_load((SHIPPED / "targets" / "compose.yaml").read_text())
    scraped = {group["labels"]["process"]: group["targets"] for group in groups}
    processes = {
        name: one["environment"]["METERING_ADMIN_PORT"]
        for name, one in SERVICES.items()
        if one["image"] == "metering:local" and name != "setup"
    }
    assert scraped == {name: [f"{name}:{port}"] for name, port in processes.items()}


def test_grafana_has_the_datasources_that_the_dashboards_ask() -> None:
    sources = yaml.safe_load((SHIPPED / "grafana" / "datasources.yaml").read_text())["datasources"]
    asked = {
        (panel["datasource"]["type"], panel["datasource"]["uid"])
        for dashboard in dashboards().values()
        for panel in panels(dashboard)
    }
    assert {(one["type"], one["uid"]) for one in sources} == asked
    hosts = {one["url"].removeprefix("http://").partition(":")[0] for one in sources}
    assert hosts <= SERVICES.keys()


def test_grafana_finds_the_dashboards_where_they_are_mounted() -> None:
    (provider,) = yaml.safe_load((SHIPPED / "grafana" / "dashboards.yaml").read_text())["providers"]
    mounted = {
        target: FOLDER / source
        for source, target, _ in (volume.split(":") for volume in SERVICES["grafana"]["volumes"])
    }
    assert list(mounted[provider["options"]["path"]].glob("*.json")) != []


def test_the_collectors_pipelines_are_made_of_what_is_configured() -> None:
    collector = yaml.safe_load((SHIPPED / "collector.yaml").read_text())
    pipelines = collector["service"]["pipelines"].values()
    for kind in ("receivers", "processors", "exporters"):
        assert {part for pipeline in pipelines for part in pipeline[kind]} == collector[kind].keys()
    assert all(pipeline["processors"][0] == "memory_limiter" for pipeline in pipelines)
    pushed_to = SERVICES["worker"]["environment"]["METERING_OTLP_ENDPOINT"]
    port = collector["receivers"]["otlp"]["protocols"]["http"]["endpoint"].rpartition(":")[2]
    assert pushed_to == f"http://collector:{port}"
