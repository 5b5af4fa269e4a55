"""The command line: quick to ask for help, and every failure ends in one sentence and one exit code."""

import json
import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest
from cyclopts import App

from aggregator.store.errors import NotMigrated, TopicMismatch
from aggregator.store.totals import Total
from metering.cli.app import app, main
from metering.cli.exits import Exit
from metering.cli.failures import exit_code, sentence_of
from metering.cli.instants import instant_us
from metering.cli.operator import decided_by
from metering.cli.totals import _status
from metering.dev.errors import StackError
from metering.errors import InputRefusedError, MeteringError, StoppedError, UnreachableError, UsageError
from schemas.instant import parse_time_us


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.upper().startswith("METERING_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def test_help_imports_neither_kafka_nor_a_database_nor_telemetry() -> None:
    program = (
        "import sys\n"
        "from metering.cli.app import main\n"
        "main(['--help'])\n"
        "heavy = ('aiokafka', 'asyncpg', 'opentelemetry', 'numpy', 'pydantic')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    output = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout
    assert output.splitlines()[-1] == "[]"
    assert "quarantine" in output


@pytest.mark.parametrize("command", ["config", "catalog", "dev", "doctor", "publish", "totals", "topics"])
def test_every_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--help"]) == Exit.OK
    assert f"metering {command}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UsageError("x", "Why."), 2),
        (UnreachableError("x", "Why."), 3),
        (StackError("java_missing", "Why."), 3),
        (NotMigrated("why"), 3),
        (InputRefusedError("x", "Why."), 4),
        (StoppedError("x", "Why."), 5),
        (TopicMismatch("why"), 5),
    ],
)
def test_failures_have_their_exit_code_and_a_whole_sentence(error: MeteringError, code: int) -> None:
    assert exit_code(error) == code
    assert sentence_of(error) == "Why."


@pytest.mark.parametrize(
    "arguments", [["--nonsense"], ["nonsense"], ["totals", "x"], ["config", "--jsn"], ["publish"]]
)
def test_a_wrong_command_line_is_one_sentence(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == Exit.USAGE
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("usage: ")
    assert "Traceback" not in captured.err


def test_with_json_a_failure_is_a_problem_object(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["publish", "absent.ndjson", "--csv", "x.csv", "--json"]) == Exit.USAGE
    problem = json.loads(capsys.readouterr().err)
    assert problem["type"] == "urn:metering:problem:usage"
    assert problem["title"] == "usage"
    assert "--mapping" in problem["detail"]


def test_an_unexpected_error_is_a_traceback_and_a_code_of_its_own(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("metering.cli.config.load_settings", broken)
    assert main(["config"]) == Exit.BUG
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_an_interrupt_is_not_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("metering.cli.config.load_settings", interrupted)
    assert main(["config"]) == Exit.INTERRUPTED
    assert capsys.readouterr().err == ""


def test_config_shows_where_each_setting_comes_from(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("METERING_POSTGRES_DSN", "postgresql://bob:s3cret@db/metering")
    Path("metering.toml").write_text("flush_records = 7\n")
    assert main(["config", "--json"]) == Exit.OK
    out = capsys.readouterr().out
    assert "s3cret" not in out
    shown = {one["name"]: one for one in map(json.loads, out.splitlines())}
    assert shown["postgres_dsn"]["value"] == "postgresql://bob:********@db/metering"
    assert (shown["flush_records"]["value"], shown["flush_records"]["origin"]) == (7, "file metering.toml")
    assert shown["tick_interval_s"]["origin"] == "default"


def test_config_finds_a_misspelt_variable(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("METERING_TOPPIC", "x")
    assert main(["config"]) == Exit.PROBLEMS
    assert "METERING_TOPPIC" in capsys.readouterr().err


def test_a_database_address_that_is_none_is_a_wrong_setting(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("METERING_POSTGRES_DSN", "host=db password=s3cret")
    assert main(["migrate"]) == Exit.USAGE
    assert "METERING_POSTGRES_DSN" in (err := capsys.readouterr().err)
    assert "s3cret" not in err


def test_servers_that_are_away_are_unreachable(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("METERING_POSTGRES_DSN", "postgresql://bob:s3cret@127.0.0.1:1/db")
    monkeypatch.setenv("METERING_KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    assert main(["migrate"]) == Exit.UNREACHABLE
    assert main(["topics", "check"]) == Exit.UNREACHABLE
    assert main(["doctor", "--json"]) == Exit.UNREACHABLE
    captured = capsys.readouterr()
    assert captured.err.startswith("postgres_unreachable: ")
    assert "kafka_unreachable" in captured.err
    assert "s3cret" not in captured.err + captured.out
    checks = {one["code"]: one["result"] for one in map(json.loads, captured.out.splitlines())}
    assert (checks.pop("settings"), set(checks.values())) == ("ok", {"unknown"})


def test_dates_and_instants_on_the_command_line() -> None:
    assert instant_us("2026-11-24", "--from") == parse_time_us("2026-11-24T00:00:00Z")
    assert instant_us("2026-11-24T01:00:00+01:00", "--from") == parse_time_us("2026-11-24T00:00:00Z")
    assert instant_us(None, "--from") is None
    for wrong in ("yesterday", "2026-11-24T01:00:00", "2026-13-01"):
        with pytest.raises(UsageError, match="--from"):
            instant_us(wrong, "--from")


def test_a_decision_has_a_name() -> None:
    assert decided_by("alice") == "alice"
    assert "@" in decided_by(None)


PAGE = (Path(__file__).parents[3] / "docs" / "cli.md").read_text()


def test_the_page_has_every_exit_code() -> None:
    for code in Exit:
        assert f"| {code.value} | {code.meaning} |" in PAGE


@pytest.mark.parametrize("command", [name for name in app if not name.startswith("-")])
def test_the_page_has_every_command_and_option(command: str) -> None:
    _, _, section = PAGE.partition(f"## metering {command}\n")
    section = section.split("\n## ")[0]
    assert section, f"docs/cli.md has no section on metering {command}"
    for one in _leaves(app[command]):
        for argument in one.assemble_argument_collection():
            option = list(argument.parameter.name or [""])[-1]
            if option != "--json" and argument.field_info.kind is argument.field_info.KEYWORD_ONLY:
                assert option in section, f"metering {' '.join(one.name)} {option}"


def _leaves(one: App) -> list[App]:
    if one.default_command is not None:
        return [one]
    return [leaf for name in one if not name.startswith("-") for leaf in _leaves(one[name])]


def test_totals_are_final_when_their_last_window_is() -> None:
    end_us = 3_600_000_000
    assert _status(_total(end_us), end_us) == "final"
    assert _status(_total(end_us), end_us - 1) == "provisional"
    assert _status(_total(end_us), None) == "provisional"


def _total(end_us: int) -> Total:
    return Total(
        "count",
        "acme",
        {},
        is_other=False,
        start_us=0,
        end_us=end_us,
        value=Decimal(1),
        on_time_value=None,
        events=1,
        adjustment_events=0,
    )
