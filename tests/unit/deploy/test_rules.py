"""Rules speak of metrics that are in the catalogue, by labels and values that these have."""

import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from support.prometheus import SHIPPED, command_or_skip
from support.rules import ROOT, Alert, alerts, rules
from support.telemetry import shown_names

from metering.observer.counted import DUTIES
from metering.telemetry.catalogue import CATALOGUE
from metering.telemetry.kinds import Histogram, Instrument, Process

RULES = list(rules())
ALERTS = alerts()
RECORDED = {rule["record"] for rule in RULES if "record" in rule}
SHOWN = {name: one for one in CATALOGUE for name in shown_names(one)}
SERIES = re.compile(r"(?<![\w:.])(metering[\w:]+|up)\b(?:\{([^}]*)\})?")
MATCHER = re.compile(r"(\w+)\s*(=~|!~|!=|=)\s*\"([^\"]*)\"")
GROUPING = re.compile(r"\b(?:by|without|on|ignoring)\s*\(([^)]*)\)")
SERIES_TESTS = sorted((SHIPPED / "tests").glob("*.yaml"))
OF_A_TARGET = {"job", "instance", "process"}
PROCESSES = get_args(Process)

ids = [rule.get("alert") or rule["record"] for rule in RULES]


@pytest.mark.parametrize("rule", RULES, ids=ids)
def test_a_rule_reads_what_is_measured(rule: Mapping[str, Any]) -> None:
    assert_measured(rule["expr"])


@pytest.mark.parametrize("alert", ALERTS, ids=[alert.name for alert in ALERTS])
def test_what_an_alert_says_is_measured(alert: Alert) -> None:
    for query in re.findall(r"`([^`]*metering_[^`]*)`", "".join(alert.annotations.values())):
        assert_measured(query)


def test_what_the_alertmanager_holds_back_are_alerts_of_known_processes_and_duties() -> None:
    names = {alert.name for alert in ALERTS}
    values = {"alertname": names, "process": set(PROCESSES), "duty": set(DUTIES)}
    rules = yaml.safe_load((SHIPPED / "alertmanager.yml").read_text())["inhibit_rules"]
    assert rules
    for rule in rules:
        for matcher in (*rule["source_matchers"], *rule["target_matchers"]):
            ((label, _, wanted),) = MATCHER.findall(matcher)
            assert set(wanted.split("|")) <= values[label], matcher


def assert_measured(expr: str) -> None:
    """Every series of an expression is in the catalogue, with the labels and values that are asked for."""
    labels = set(OF_A_TARGET)
    for name, matchers in series(expr):
        if name in RECORDED or name == "up":
            continue
        assert name in SHOWN, f"{name} is not in the catalogue"
        instrument = SHOWN[name]
        own = {label.name: label.values for label in instrument.labels}
        here = OF_A_TARGET | own.keys() | ({"le"} if isinstance(instrument, Histogram) else set())
        labels |= here
        for label, operator, wanted in matchers:
            assert label in here, f"{name} has no label {label}"
            if label in own and wanted != "%s":
                assert_some_value(instrument, own[label], operator, wanted)
    for grouped in chain.from_iterable(found.split(",") for found in GROUPING.findall(expr)):
        assert grouped.strip() in labels | {""}, f"nothing has the label {grouped.strip()}"


def assert_some_value(
    instrument: Instrument, values: Sequence[str] | re.Pattern[str], operator: str, wanted: str
) -> None:
    """Each alternative of a matcher is, or matches, a value that there is."""
    if isinstance(values, re.Pattern):
        return
    alternatives = wanted.split("|") if "~" in operator and "(" not in wanted else [wanted]
    for one in alternatives:
        pattern = re.compile(one if "~" in operator else re.escape(one))
        assert any(pattern.fullmatch(value) for value in values), f"{instrument.name}: no value like {one}"


@pytest.mark.parametrize("alert", ALERTS, ids=[alert.name for alert in ALERTS])
def test_an_alert_says_how_bad_what_who_and_where(alert: Alert) -> None:
    assert alert.labels["severity"] in {"info", "warning", "critical"}
    assert alert.labels.get("kind", "slo") in {"slo", "slow"}
    assert alert.annotations.keys() == {"summary", "description", "runbook_url"}
    assert ROOT / alert.annotations["runbook_url"] == alert.page
    assert alert.annotations["description"].endswith(".")
    known = set(surviving_labels(alert.expr))
    for label in re.findall(r"\$labels\.(\w+)", "".join(alert.annotations.values())):
        assert label in known, f"{alert.name} has no label {label} when it fires"


def surviving_labels(expr: str) -> Iterator[str]:
    """Those that an aggregation keeps, or a target's own where something is not aggregated."""
    aggregated = re.sub(r"unless on \(\).*", "", expr, flags=re.DOTALL)
    if not re.search(r"\b(max|min|sum|avg)\b", aggregated):
        yield from OF_A_TARGET
    for kept in re.findall(r"\b(?:max|min|sum|avg) by \(([^)]*)\)", aggregated):
        yield from (label.strip() for label in kept.split(","))


def series(expr: str) -> Iterator[tuple[str, list[tuple[str, str, str]]]]:
    for name, matchers in SERIES.findall(re.sub(r"\[[^]]*\]", "", expr)):
        yield name, MATCHER.findall(matchers)


def test_alerts_are_named_once() -> None:
    names = [alert.name for alert in ALERTS]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("file", SERIES_TESTS, ids=[file.stem for file in SERIES_TESTS])
def test_rules_fire_as_their_series_say(file: Path) -> None:
    told = subprocess.run(
        [command_or_skip("promtool"), "test", "rules", file], check=False, capture_output=True, text=True
    )
    assert told.returncode == 0, told.stdout + told.stderr
