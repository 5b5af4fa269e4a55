"""Settings: where they come from, what is refused, and that no secret is shown."""

import os
from pathlib import Path

import pytest

from metering.errors import UsageError
from metering.settings import load_settings, mask_password, show_settings, unknown_variables


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.upper().startswith("METERING_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def test_environment_wins_over_file_over_default(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("metering.toml").write_text('topic = "from.file"\nflush_records = 7\n')
    monkeypatch.setenv("METERING_TOPIC", "from.environment")
    settings = load_settings()
    assert (settings.topic, settings.flush_records, settings.tick_interval_s) == ("from.environment", 7, 10)
    origins = {shown.name: shown.origin for shown in show_settings(settings)}
    assert origins["topic"] == "environment METERING_TOPIC"
    assert origins["flush_records"] == "file metering.toml"
    assert origins["tick_interval_s"] == "default"


def test_files_are_looked_for_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".dev").mkdir()
    Path(".dev/metering.toml").write_text('topic = "dev"\n')
    assert load_settings().topic == "dev"
    Path("metering.toml").write_text('topic = "here"\n')
    assert load_settings().topic == "here"
    Path("other.toml").write_text('topic = "other"\n')
    monkeypatch.setenv("METERING_CONFIG", "other.toml")
    assert load_settings().topic == "other"
    monkeypatch.setenv("METERING_CONFIG", "absent.toml")
    with pytest.raises(UsageError, match="config_missing"):
        load_settings()


def test_an_empty_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("metering.toml").write_text("admin_port = 9\n")
    monkeypatch.setenv("METERING_ADMIN_PORT", "")
    settings = load_settings()
    assert settings.admin_port == 9
    assert {shown.name: shown.origin for shown in show_settings(settings)}[
        "admin_port"
    ] == "file metering.toml"


@pytest.mark.parametrize(
    ("variable", "value", "reason"),
    [
        ("METERING_FLUSH_RECORDS", "many", "flush_records"),
        ("METERING_FLUSH_RECORDS", "0", "flush_records"),
        ("METERING_FLUSH_RECORDS", "500000", "buffer_records must be at least flush_records"),
        ("METERING_FLUSH_BYTES", "1GiB", "buffer_bytes must be at least flush_bytes"),
        ("METERING_POSTGRES_SCHEMA", 'x"; drop', "postgres_schema"),
        ("METERING_KAFKA_SECURITY_PROTOCOL", "SASL_SSL", "kafka_sasl_mechanism"),
        ("METERING_KAFKA_SASL_PASSWORD", "s3cret", "kafka_sasl_mechanism"),
        ("METERING_OTLP_ENDPOINT", "localhost:4318", "otlp_endpoint"),
    ],
)
def test_an_impossible_setting_is_refused_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, reason: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(UsageError) as refusal:
        load_settings()
    assert refusal.value.code == "settings_invalid"
    assert reason in refusal.value.sentence
    assert "s3cret" not in refusal.value.sentence


@pytest.mark.parametrize("text", ["topik = 'x'\n", "topic = \n"])
def test_a_misspelt_or_broken_file_is_refused(text: str) -> None:
    Path("metering.toml").write_text(text)
    with pytest.raises(UsageError, match=r"metering\.toml"):
        load_settings()


def test_a_misspelt_variable_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METERING_TOPIK", "x")
    monkeypatch.setenv("METERING_TOPIC", "x")
    assert unknown_variables() == ["METERING_TOPIK"]


def test_no_secret_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(
        "METERING_POSTGRES_DSN", "postgresql://bob:s3cret@h1:1,h2:2/db?sslpassword=s3cret&host=/tmp"
    )
    monkeypatch.setenv("METERING_KAFKA_SECURITY_PROTOCOL", "SASL_PLAINTEXT")
    monkeypatch.setenv("METERING_KAFKA_SASL_MECHANISM", "PLAIN")
    monkeypatch.setenv("METERING_KAFKA_SASL_USERNAME", "bob")
    monkeypatch.setenv("METERING_KAFKA_SASL_PASSWORD", "s3cret")
    settings = load_settings()
    assert "s3cret" not in repr(show_settings(settings)) + repr(settings)
    shown = {one.name: one.value for one in show_settings(settings)}
    assert shown["postgres_dsn"] == "postgresql://bob:********@h1:1,h2:2/db?sslpassword=********&host=/tmp"


def test_a_dsn_that_is_no_url_is_hidden_whole() -> None:
    assert "s3cret" not in mask_password("host=h password=s3cret")


def test_a_password_with_an_at_sign_is_hidden() -> None:
    assert mask_password("postgres://bob:p@ss@h/db") == "postgres://bob:********@h/db"


def test_settings_cannot_change() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load_settings().topic = "other"  # type: ignore[misc]
