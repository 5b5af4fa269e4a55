"""The dashboards as they are checked in: complete, and without a metric that nobody measures."""

import re
from collections import defaultdict

from support.dashboards import dashboards, panels, postgres_queries, prometheus_queries
from support.telemetry import shown_names

from metering.telemetry.catalogue import CATALOGUE
from metering.telemetry.prometheus import PROCESS_METRICS

MADE = {"metering-on-call", "metering-ingestion", "metering-billing-accuracy", "metering-customer"}


def test_there_are_four() -> None:
    assert dashboards().keys() == MADE


def test_every_metric_is_in_the_catalogue() -> None:
    measured = {name for one in CATALOGUE for name in shown_names(one)} | set(PROCESS_METRICS)
    asked = {
        name
        for query in prometheus_queries()
        for name in re.findall(r"\b(?:metering|process)_\w+", query.text)
    }
    assert asked - measured == set()


def test_every_label_value_that_is_asked_for_can_be_there() -> None:
    values: dict[str, set[str]] = defaultdict(set)
    for label in (label for one in CATALOGUE for label in one.labels):
        if isinstance(label.values, tuple):
            values[label.name].update(label.values)
    for query in prometheus_queries():
        for label, text in re.findall(r'(\w+)(?:=~|!=|=)"([^"]*)"', query.text):
            if label in values:
                assert set(text.split("|")) <= values[label], query


def test_every_panel_says_what_to_make_of_it_and_asks_one_datasource() -> None:
    for uid, dashboard in dashboards().items():
        numbers = [panel["id"] for panel in dashboard["panels"]]
        assert len(set(numbers)) == len(numbers)
        for panel in panels(dashboard):
            assert panel["description"].endswith("."), (uid, panel["title"])
            assert {target["datasource"]["uid"] for target in panel["targets"]} == {
                panel["datasource"]["uid"]
            }
            letters = [target["refId"] for target in panel["targets"]]
            assert letters == sorted(set(letters)), (uid, panel["title"])


def test_panels_do_not_overlap() -> None:
    for uid, dashboard in dashboards().items():
        taken: set[tuple[int, int]] = set()
        for panel in dashboard["panels"]:
            at = panel["gridPos"]
            assert at["x"] + at["w"] <= 24, (uid, panel["title"])
            cells = {
                (x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])
            }
            assert not cells & taken, (uid, panel["title"])
            taken |= cells


def test_a_customer_is_a_text_and_never_part_of_a_statement() -> None:
    for query in postgres_queries():
        assert "${customer:sqlstring}" in query.text
        assert not re.search(r"\$\{?customer(?!:sqlstring)", query.text)
