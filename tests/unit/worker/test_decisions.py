import asyncio
import ssl

import asyncpg
import pytest
from aiokafka.errors import (
    CorruptRecordException,
    KafkaConnectionError,
    OffsetOutOfRangeError,
    RecordTooLargeError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
    UnsupportedCodecError,
)
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.trace import NoOpTracerProvider
from support.telemetry import measured

from aggregator.store.errors import CatalogMoved, Fenced, NotMigrated, UnknownOutcome
from metering.errors import StoppedError
from metering.process.health import Readiness
from metering.process.patience import MISSING_TOPIC_S, Patience, brokers_pass, database_passes
from metering.telemetry import make_telemetry, no_telemetry
from metering.worker.caught_up import behind
from metering.worker.log_reader import may_be_undecodable
from metering.worker.stops import Stop, TopicStoppedError, first_cause, stopped_error
from schemas.codes import Code


@pytest.mark.parametrize(
    "error",
    [
        ConnectionRefusedError(),
        ssl.SSLCertVerificationError("certificate has expired"),
        TimeoutError(),
        asyncpg.ConnectionDoesNotExistError(),
        asyncpg.InterfaceError("connection is closed"),
        asyncpg.SerializationError(),
        asyncpg.DeadlockDetectedError(),
        asyncpg.AdminShutdownError(),
        asyncpg.CannotConnectNowError(),
        asyncpg.TooManyConnectionsError(),
        asyncpg.QueryCanceledError(),
        asyncpg.LockNotAvailableError(),
        asyncpg.DiskFullError(),
    ],
)
def test_what_a_database_that_is_away_raises_passes(error: Exception) -> None:
    assert database_passes(error, 1e6)


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.UniqueViolationError(),
        asyncpg.CheckViolationError(),
        asyncpg.InsufficientPrivilegeError(),
        asyncpg.UndefinedTableError(),
        asyncpg.InvalidPasswordError(),
        asyncpg.exceptions._base.DataError("invalid input for query argument"),
        Fenced([1]),
        CatalogMoved(3),
        NotMigrated("x"),
        UnknownOutcome(),
        ValueError(),
        KeyError(),
    ],
)
def test_everything_else_does_not(error: Exception) -> None:
    assert not database_passes(error, 0)


def test_a_topic_may_be_unknown_for_a_while() -> None:
    assert brokers_pass(UnknownTopicOrPartitionError(), MISSING_TOPIC_S - 1)
    assert not brokers_pass(UnknownTopicOrPartitionError(), MISSING_TOPIC_S)
    assert brokers_pass(KafkaConnectionError(), 1e6)
    assert not brokers_pass(TopicAuthorizationFailedError(), 0)
    assert not brokers_pass(ValueError(), 0)


@pytest.mark.parametrize(
    ("error", "may_be"),
    [
        (CorruptRecordException(), True),
        (RecordTooLargeError(), True),
        (UnsupportedCodecError(), True),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, ""), True),
        (RuntimeError("a codec's own error"), True),
        (OffsetOutOfRangeError({}), False),
        (KafkaConnectionError(), False),
        (TimeoutError(), False),
    ],
)
def test_which_errors_a_record_may_have_caused(error: Exception, may_be: bool) -> None:  # noqa: FBT001
    assert may_be_undecodable(error) is may_be


async def test_patience_tries_again_says_so_and_ends_with_what_does_not_pass() -> None:
    reader = InMemoryMetricReader()
    meters = MeterProvider([reader], shutdown_on_exit=False)
    instruments = make_telemetry(meters, NoOpTracerProvider(), "worker").instruments
    readiness = Readiness("worker", instruments)
    assert measured(reader, "metering.ready") == 0
    readiness.clear("worker")
    assert measured(reader, "metering.ready") == 1
    patience = Patience("database", database_passes, readiness, instruments)
    seen: list[bool] = []

    async def work() -> int:
        seen.append(readiness.ready)
        if len(seen) < 3:
            raise ConnectionRefusedError
        assert measured(reader, "metering.ready") == 0
        return 7

    assert await patience.until_done("work", work) == 7
    assert seen == [True, False, False]
    assert readiness.ready
    assert measured(reader, "metering.ready") == 1
    assert measured(reader, "metering.server.away", server="database") == 2
    assert measured(reader, "metering.server.away", server="brokers") == 0

    async def broken() -> None:
        raise KeyError("a bug")

    with pytest.raises(KeyError):
        await patience.until_done("work", broken)


async def test_patience_can_be_cancelled() -> None:
    instruments = no_telemetry().instruments
    patience = Patience("database", database_passes, Readiness("worker", instruments), instruments)

    async def work() -> None:
        raise ConnectionRefusedError

    task = asyncio.create_task(patience.until_done("work", work))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_a_stop_comes_before_a_bug_and_a_fence_comes_last() -> None:
    stop, bug, fence = TopicStoppedError(Code.LOG_REPLACED, "gone"), KeyError(), Fenced([1])
    assert first_cause(ExceptionGroup("", [fence, ExceptionGroup("", [bug, stop])])) is stop
    assert first_cause(ExceptionGroup("", [fence, ExceptionGroup("", [fence, bug])])) is bug
    assert first_cause(ExceptionGroup("", [fence, fence])) is fence


def test_a_stop_says_where_what_and_what_to_do() -> None:
    error = stopped_error(Stop(Code.CLOCK_JUMP, 3, 77, "an hour ahead"))
    assert isinstance(error, StoppedError)
    assert error.code == "clock_jump"
    assert error.sentence.startswith("Partition 3, offset 77: an hour ahead. ")
    assert "cap" in error.sentence


def test_what_is_behind_its_target_is_named() -> None:
    assert behind({0: 5, 1: 7}, {0: 5, 1: 7}) == frozenset()
    assert behind({0: 5, 1: 7}, {}) == frozenset()
    assert behind({0: 5, 1: 6}, {0: 5, 1: 7}) == {1}
