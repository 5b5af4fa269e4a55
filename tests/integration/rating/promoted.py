"""Worlds whose meters counted wrongly, and what their logs come to by whichever catalog has the say."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any, Final

from integration.rating import everything
from integration.rating.conftest import Worlds
from integration.rating.world import PARTITIONS, World, partition_of
from oracle.rated import HOUR_US, MINUTE_US, Logged, MeterRule

from aggregator.store import promotion, replay
from aggregator.store.replay import Promotion, Shadow

WRONG: Final = everything.METERS
RIGHT: Final = (
    everything.METERS.replace("value: n", "value: m")
    .replace("value: model,", "value: kind,")
    .replace("aggregation: count,", "aggregation: count, filter: {model: [small]},")
)
ADMITTED_US: Final = 40 * HOUR_US
"""A void of an event older than 48 hours would be refused."""
METER_RULES: Final[Mapping[str, MeterRule]] = {
    "tokens": everything.TOKENS,
    "calls": everything.CALLS,
    "peak": everything.PEAK,
    "least": everything.LEAST,
    "newest": everything.NEWEST,
    "models": everything.MODELS,
    "level": everything.LEVEL,
}


@dataclass(frozen=True)
class Promoted:
    """What a promotion has the say of: final windows, as far as its replay knew the log."""

    is_right: bool
    ends: Mapping[int, int]
    final_before_us: Mapping[str, int]
    log_time_us: int

    def knows(self, one: Logged, meter: str) -> bool:
        start_us = METER_RULES[meter].start_us(one)
        is_final = start_us < self.final_before_us[meter]
        return is_final and one.offset < self.ends[partition_of(one.subject)]


@dataclass
class Told:
    """A log, and the promotions on the way."""

    world: World
    promotions: list[Promoted] = field(default_factory=list)

    def log(self, meter: str, cut_us: int | None) -> Sequence[Logged]:
        """What was told, as the catalog reads it that has the say at a cut."""
        read = (self._read(one, meter, cut_us) for one in self.world.told)
        return [one for one in read if one is not None]

    def _read(self, one: Logged, meter: str, cut_us: int | None) -> Logged | None:
        is_right = False
        for promoted in self.promotions:
            if (cut_us is None or promoted.log_time_us < cut_us) and promoted.knows(one, meter):
                is_right = promoted.is_right
        data = dict(one.data)
        right = {"n": data.pop("m", None), "model": data.pop("kind", None)}
        if is_right and meter == "calls" and data.get("model") != "small":
            return None
        for name, value in right.items() if is_right else ():
            if name == "n" or meter == "models":
                data.pop(name, None)
                if value is not None:
                    data[name] = value
        return replace(one, data=data)


def write(world: World, chance: Random, events: int) -> None:
    """Half a day of events and voids, on whole minutes, some of them late, some that a meter cannot read."""
    told = [one for one in world.told if not one.is_void]
    voided = {(one.subject, one.time_us, str(one.data)) for one in world.told if one.is_void}
    for _ in range(events):
        world.advance(chance.randint(0, 2 * 12 * 60 // events))
        young = [one for one in told if world.now_us - one.time_us < ADMITTED_US]
        withdrawn = chance.choice(young) if young and chance.random() < 0.15 else None
        if withdrawn is not None:
            seen = withdrawn.subject, withdrawn.time_us, str(withdrawn.data)
            if seen not in voided:
                voided.add(seen)
                world.void(withdrawn)
            continue
        late = chance.choice([0, 0, 0, 10, 70, 200, 700])
        at_us = max(world.now_us - late * MINUTE_US, everything.T0)
        told.append(_event(world, chance, at_us))
        if chance.random() < 0.2:
            world.tick()
    world.tick()


def _event(world: World, chance: Random, at_us: int) -> Logged:
    subject = f"subject-{chance.randint(0, 5)}"
    data: dict[str, Any] = {}
    if chance.random() < 0.95:
        data["n"] = chance.choice([chance.randint(0, 30), "0.125"])
    if chance.random() < 0.85:
        data["m"] = chance.choice([chance.randint(0, 30), data.get("n", 3)])
    if chance.random() < 0.4:
        data |= {"disk": chance.choice(["a", "b"]), "zone": "x"}
        return world.event(subject, data, at_us=at_us, type_="level")
    texts = {"model": chance.choice(everything.MODELS_USED), "kind": chance.choice(["k", "small", None])}
    data |= {name: text for name, text in texts.items() if text is not None}
    return world.event(subject, data, at_us=at_us)


async def replayed(worlds: Worlds, world: World, meters: str) -> World:
    """A world of its own with the same log, counted by other meters or the same ones."""
    other = await worlds(meters, everything.T0)
    for partition, log in world.logs.items():
        other.logs[partition] = list(log)
    await other.count_all()
    await other.close()
    return other


def shadow_of(world: World, next_correction: int = 0) -> Shadow:
    """What a replay of all of the log would say of itself."""
    ends = {partition: len(world.logs[partition]) for partition in range(PARTITIONS)}
    return Shadow(world.schema, True, None, next_correction, ends)  # noqa: FBT003 - has another catalog


async def promote(worlds: Worlds, told: Told, *, is_right: bool) -> Promotion | None:
    """Replay all of the log by one of the catalogs, and promote that; None if there was nothing to do."""
    world = told.world
    other = await replayed(worlds, world, RIGHT if is_right else WRONG)
    shadow = shadow_of(world)
    proposal = await promotion.propose(world.connection, other.connection, shadow, None)
    assert proposal.refused == []
    if not proposal.placed:
        return None
    made = await promotion.promote(world.connection, proposal, other.schema, "al", "n is not m")
    rows = await other.connection.fetch(
        "SELECT v.meter, w.final_before"
        " FROM meter_watermark AS w JOIN meter_version AS v USING (meter_version_id)"
    )
    told.promotions.append(Promoted(is_right, shadow.ends, dict(map(tuple, rows)), made.log_time_us))
    return made


async def take_over(world: World, other: World) -> None:
    """What a replay by the same catalog takes over beside the log."""
    async with other.connection.transaction():
        promotions = await world.connection.fetch(
            "SELECT first_number, next_number, log_time, who, reason, shadow_schema, evidence, catalog::text,"
            " promoted_at FROM correction ORDER BY first_number"
        )
        await replay.insert_corrections(
            other.connection,
            [Promotion(*row) for row in promotions],
            await replay.corrections(world.connection),
        )
