"""`metering topics`: made once, compared ever after, and never changed where that would move subjects."""

from integration.cli.fixtures import Metering, write

from metering.broker import broker_admin, change_configs, read_topic
from metering.settings import Settings

RECORD_CLOCK = "name: other\npartitions: 3\nclock: record\nretention_ms: -1\n"


async def test_a_topic_is_planned_applied_and_then_as_its_contract(
    metering: Metering, settings: dict[str, str]
) -> None:
    name = settings["METERING_TOPIC"]
    await metering("topics", "plan", exits=3)  # not migrated
    assert (await metering("migrate", "--json")).lines[0]["applied"]
    planned = (await metering("topics", "plan", "--json")).lines[0]["differences"]
    assert [one["code"] for one in planned] == ["topic_missing", "topic_not_applied"]
    await metering("topics", "check", exits=1)
    applied = (await metering("topics", "apply", "--json")).lines[0]
    assert (applied["topic"], applied["changed"]) == (name, planned)
    assert (await metering("topics", "check", "--json")).lines[0]["differences"] == []
    assert (await metering("topics", "apply", "--json")).lines[0]["changed"] == []
    async with broker_admin(Settings()) as admin:
        topic = await read_topic(admin, name)
    assert topic is not None
    assert topic.partitions == 6
    assert topic.own_configs["message.timestamp.type"] == "LogAppendTime"


async def test_configs_that_drifted_are_set_again_and_the_others_are_kept(
    metering: Metering, settings: dict[str, str]
) -> None:
    name = settings["METERING_TOPIC"]
    await metering("migrate")
    await metering("topics", "apply")
    async with broker_admin(Settings()) as admin:
        topic = await read_topic(admin, name)
        assert topic is not None
        drift = {"message.timestamp.type": "CreateTime", "retention.ms": "1000", "segment.ms": "777777"}
        await change_configs(admin, name, topic, drift)
    found = {
        one["what"]: (one["code"], one["found"])
        for one in (await metering("topics", "check", "--json", exits=1)).lines[0]["differences"]
    }
    assert found == {
        "config message.timestamp.type": ("create_time_topic", "CreateTime"),
        "config retention.ms": ("config_differs", "1000"),
    }
    assert "create_time_topic" in (await metering("doctor", exits=1)).out
    await metering("topics", "apply")
    await metering("topics", "check")
    async with broker_admin(Settings()) as admin:
        topic = await read_topic(admin, name)
    assert topic is not None
    assert topic.own_configs["segment.ms"] == "777777"


async def test_what_is_fixed_for_good_is_refused_and_nothing_is_changed(
    metering: Metering, settings: dict[str, str]
) -> None:
    await metering("migrate")
    await metering("topics", "apply")
    write("other.yaml", RECORD_CLOCK)
    (problem,) = (await metering("topics", "apply", "--file", "other.yaml", "--json", exits=5)).problems
    assert problem["title"] == "partition_count_changed"
    planned = (await metering("topics", "plan", "--file", "other.yaml", "--json", exits=5)).lines[0]
    assert {one["code"] for one in planned["differences"]} >= {"partition_count_changed", "topic_mismatch"}
    await metering("topics", "check")
    assert settings["METERING_TOPIC"]


async def test_a_contract_of_ones_own_is_named_by_a_setting_too(
    metering: Metering, settings: dict[str, str]
) -> None:
    write("own.yaml", RECORD_CLOCK)
    write("metering.toml", 'topic_file = "own.yaml"\n')
    await metering("migrate")
    await metering("topics", "apply")
    async with broker_admin(Settings()) as admin:
        topic = await read_topic(admin, settings["METERING_TOPIC"])
    assert topic is not None
    assert (topic.partitions, topic.configs["message.timestamp.type"]) == (3, "CreateTime")
    await metering("doctor")
    write("metering.toml", "")
    await metering("doctor")  # by what the database knows of it


async def test_a_wrong_contract_is_refused_at_its_line(metering: Metering) -> None:
    write("wrong.yaml", "name: x\npartitions: 0\n")
    ran = await metering("topics", "check", "--file", "wrong.yaml", exits=4)
    assert ran.err.startswith("contract_invalid: wrong.yaml:2: ")
    await metering("topics", "check", "--file", "absent.yaml", exits=4)
