"""Every setting of the running service, from the environment and one TOML file.

The environment (`METERING_<NAME>`) wins over the file, the file over the defaults. The file is the one that
`METERING_CONFIG` names, else `./metering.toml`, else `./.dev/metering.toml`, which the local stack writes.
"""

import os
import socket
import tomllib
from pathlib import Path
from typing import Annotated, Final, Literal, NamedTuple, Self
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

from pydantic import ByteSize, Field, PositiveFloat, PositiveInt, SecretStr, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from metering.errors import UsageError

PREFIX: Final = "METERING_"
CONFIG_VARIABLE: Final = "METERING_CONFIG"
DEV_VARIABLE: Final = "METERING_DEV_DIR"  # where the local stack lives, by default `.dev`
HIDDEN: Final = "********"

MIB: Final = 1024 * 1024
SqlName = Annotated[str, Field(pattern=r"^[a-z_][a-z0-9_]{0,62}$")]
Bytes = Annotated[ByteSize, Field(gt=0)]


def own_instance() -> str:
    """Name this process among the workers: `host:pid`."""
    return f"{socket.gethostname()}:{os.getpid()}"


class Settings(BaseSettings):
    """The settings of one process; immutable once read."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, extra="forbid", frozen=True, validate_default=True
    )

    kafka_bootstrap_servers: str = Field("localhost:9092", min_length=1, description="Brokers, `host:port,…`")
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="How to speak to the brokers"
    )
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = Field(
        None, description="How to log in to the brokers, with a SASL protocol"
    )
    kafka_sasl_username: str | None = Field(None, description="Login at the brokers")
    kafka_sasl_password: SecretStr | None = Field(None, description="Password at the brokers")
    kafka_ca_file: Path | None = Field(None, description="PEM file that vouches for the brokers")

    postgres_dsn: SecretStr = Field(SecretStr("postgresql://localhost/metering"), description="The database")
    postgres_schema: SqlName = Field("metering", description="Its schema; one schema counts one topic")
    postgres_role: SqlName | None = Field(None, description="Role to take (`SET ROLE`) after login")
    statement_timeout_s: PositiveFloat = Field(30, description="Longest a statement may take")
    lock_timeout_s: PositiveFloat = Field(10, description="Longest a statement may wait for a lock")

    topic: str = Field(
        "usage.events",
        pattern=r"^[A-Za-z0-9._-]{1,249}$",
        description="The usage topic; unset: its contract's name",
    )
    topic_file: Path | None = Field(None, description="Its contract (YAML); none: the one in this package")
    consumer_group: str = Field("metering", min_length=1, description="Kafka group of the workers")
    instance: str = Field(
        default_factory=own_instance, min_length=1, max_length=200, description="Name of this process"
    )

    flush_interval_s: PositiveFloat = Field(1.0, description="A batch is flushed when it is this old,")
    flush_records: PositiveInt = Field(100_000, description="or has this many records,")
    flush_bytes: Bytes = Field(ByteSize(64 * MIB), description="or this many bytes, whichever comes first")
    buffer_records: PositiveInt = Field(250_000, description="Records in memory at which fetching pauses")
    buffer_bytes: Bytes = Field(ByteSize(256 * MIB), description="Bytes in memory at which fetching pauses")
    max_poll_records: PositiveInt = Field(20_000, description="Most records taken from the client at once")
    session_timeout_s: PositiveFloat = Field(
        10, ge=1, description="A worker silent this long loses its partitions; brokers set a least"
    )
    drain_deadline_s: PositiveFloat = Field(20, description="Time to finish work on a stop or a revoke")
    tick_interval_s: PositiveFloat = Field(10, description="An idle partition gets a tick this often")

    close_interval_s: PositiveFloat = Field(
        1.0, description="How often the closer looks what has become final"
    )
    rate_interval_s: PositiveFloat = Field(
        1.0, description="A rater with nothing left to do looks for more this often"
    )
    feed_topic: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9._-]{1,249}$",
        description="Kafka topic of one partition that the feed is pushed to; none: it is only read",
    )

    observe_interval_s: PositiveFloat = Field(
        5, description="How often the observer looks at servers, partitions and meters"
    )
    health_window_s: PositiveFloat = Field(
        30, description="Past that a partition's state is judged by; as long may it be without an owner"
    )

    prove_interval_s: PositiveFloat = Field(
        10, description="How often the auditor proves a part of what was counted"
    )
    prove_windows: PositiveInt = Field(200, description="About as many windows are chosen for one proof,")
    prove_records: PositiveInt = Field(
        500_000, description="and at most so many records of a partition are read again for it"
    )

    publish_timeout_s: PositiveFloat = Field(120, description="Longest wait for brokers to take events")

    admin_host: str = Field("127.0.0.1", description="Where `/healthz`, `/readyz` and `/metrics` listen")
    admin_port: int | None = Field(
        None, ge=0, le=65535, description="Their port; 0 takes a free one, none is none"
    )
    api_host: str = Field("127.0.0.1", description="Where the HTTP API listens")
    api_port: int = Field(8600, ge=0, le=65535, description="Its port; 0 takes a free one")
    api_connections: PositiveInt = Field(10, description="Most database connections of the HTTP API")
    api_requests_per_s: PositiveFloat = Field(50, description="Requests a token may make in the long run,")
    api_burst: PositiveInt = Field(100, description="and at once, in each process of the API")
    api_session_key: SecretStr | None = Field(
        None,
        min_length=32,
        description="Signs logins to the console; one for every process of the API, else each has its own",
    )
    runbook_url: str = Field(
        "/runbook",
        min_length=1,
        description="Where problems of the API link to; by default its own page",
    )
    otlp_endpoint: str | None = Field(
        None, pattern=r"^https?://.+", description="Base URL of an OTLP/HTTP collector; none: nothing is sent"
    )
    log_format: Literal["auto", "console", "json"] = Field(
        "auto", description="`auto`: console on a terminal, else JSON lines"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least level logged")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the signature is the library's
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Order the sources: arguments, environment, file."""
        file = config_file()
        if file is None:
            return init_settings, env_settings
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, toml_file=file)

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.buffer_records < self.flush_records:
            raise ValueError("buffer_records must be at least flush_records, or no batch could ever fill")
        if self.buffer_bytes < self.flush_bytes:
            raise ValueError("buffer_bytes must be at least flush_bytes, or no batch could ever fill")
        login = (self.kafka_sasl_mechanism, self.kafka_sasl_username, self.kafka_sasl_password)
        given = [part is not None for part in login]
        if not all(given) if self.kafka_security_protocol.startswith("SASL_") else any(given):
            raise ValueError(
                "a SASL_ protocol, and no other, needs kafka_sasl_mechanism, kafka_sasl_username and "
                "kafka_sasl_password"
            )
        return self


def config_file() -> Path | None:
    """Find the TOML file to read; None if there is none and none was asked for.

    Raises:
        UsageError: `METERING_CONFIG` names a file that is not there (`config_missing`).
    """
    named = os.environ.get(CONFIG_VARIABLE)
    if named:
        if not Path(named).is_file():
            raise UsageError("config_missing", f"{CONFIG_VARIABLE} names {named}, which is no file.")
        return Path(named)
    files = (Path("metering.toml"), Path(os.environ.get(DEV_VARIABLE) or ".dev", "metering.toml"))
    return next((file for file in files if file.is_file()), None)


def load_settings() -> Settings:
    """Read the settings of this process.

    Raises:
        UsageError: a setting has no legal value (`settings_invalid`), or its file is missing or no TOML.
    """
    try:
        return Settings()
    except tomllib.TOMLDecodeError as error:
        raise UsageError("settings_invalid", f"{config_file()} is no TOML: {error}.") from error
    except ValidationError as error:
        reasons = "; ".join(
            f"{reason['loc'][0]} ({_origin(str(reason['loc'][0]))}): {reason['msg']}"
            if reason["loc"]
            else reason["msg"].removeprefix("Value error, ")
            for reason in error.errors(include_input=False, include_url=False)
        )
        raise UsageError("settings_invalid", f"{reasons}.") from None


class Shown(NamedTuple):
    """A setting as people may see it."""

    name: str
    value: str | int | float | None
    origin: str
    description: str


def show_settings(settings: Settings) -> list[Shown]:
    """Tell every setting, its value without secrets, and where it came from."""
    return [
        Shown(name, _showable(name, getattr(settings, name)), _origin(name), field.description or "")
        for name, field in type(settings).model_fields.items()
    ]


def unknown_variables() -> list[str]:
    """List environment variables with our prefix that are no setting, most likely a misspelt one."""
    known = {CONFIG_VARIABLE, DEV_VARIABLE, *(f"{PREFIX}{name.upper()}" for name in Settings.model_fields)}
    return sorted(name for name in os.environ if name.startswith(PREFIX) and name not in known)


def mask_password(dsn: str) -> str:
    """Show a Postgres URL with its passwords hidden; of anything else, show nothing."""
    parts = urlsplit(dsn)
    if not parts.scheme.startswith("postgres"):
        return HIDDEN
    userinfo, at, hosts = parts.netloc.rpartition("@")
    user, colon, _ = userinfo.partition(":")
    netloc = f"{user}:{HIDDEN}@{hosts}" if colon else f"{userinfo}{at}{hosts}"
    query = [(key, HIDDEN if "password" in key else value) for key, value in parse_qsl(parts.query)]
    return urlunsplit(parts._replace(netloc=netloc, query=urlencode(query, safe="*/", quote_via=quote)))


def _origin(name: str) -> str:
    variable = f"{PREFIX}{name.upper()}"
    if any(value and name.upper() == variable for name, value in os.environ.items()):
        return f"environment {variable}"
    file = config_file()
    return f"file {file}" if file and name in tomllib.loads(file.read_text()) else "default"


def _showable(name: str, value: object) -> str | int | float | None:
    if name == "postgres_dsn" and isinstance(value, SecretStr):
        return mask_password(value.get_secret_value())
    if isinstance(value, SecretStr):
        return HIDDEN
    if isinstance(value, ByteSize):
        return int(value)
    return value if isinstance(value, (str, int, float)) or value is None else str(value)
