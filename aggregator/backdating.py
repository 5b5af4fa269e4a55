"""Which meter versions a log is replayed with: those that counted it, or others from some instant on."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from aggregator.applying.catalog_plan import ChangeKind, PlanError, plan
from aggregator.catalog import StoredVersion
from aggregator.state import TopicRules
from schemas.catalog import Meter


@dataclass(frozen=True, slots=True)
class BackdatedVersion:
    """A meter version of a shadow schema."""

    meter_version_id: int
    meter: str
    version: int
    definition: Mapping[str, object]
    effective_from_us: int | None  # None: from the beginning
    retired: bool


@dataclass(frozen=True, slots=True)
class Backdated:
    """The versions to replay with; only if there are no errors."""

    versions: Sequence[StoredVersion]
    errors: Sequence[PlanError]


def backdated(
    stored: Sequence[StoredVersion], meters: Iterable[Meter], from_us: int | None, rules: TopicRules
) -> Backdated:
    """What the catalog would be had these meters been applied in time.

    A version keeps its id if it is the same as before, for repair records in the log name versions by id.

    Args:
        stored: every version that the log was counted by.
        meters: those in force from `from_us` on; a meter that is not among them is retired then.
        from_us: an event time on the windows' boundaries; None for the beginning.
        rules: of the topic.
    """
    kept = [one for one in stored if _starts_before(one, from_us)]
    planned = plan(kept, meters, [], rules, from_us)
    next_id = max((one.meter_version_id for one in stored), default=0) + 1
    versions: list[StoredVersion] = list(kept)
    for change in planned.effects:
        is_retired = change.kind is ChangeKind.RETIRED
        of_meter = [one for one in stored if one.meter == change.meter]
        same = [
            one
            for one in of_meter
            if one not in kept and one.retired == is_retired and one.definition == change.definition
        ]
        if same:
            version_id, number = same[-1].meter_version_id, same[-1].version
        else:
            version_id, number = next_id, max((one.version for one in of_meter), default=0) + 1
            next_id += 1
        versions.append(
            BackdatedVersion(
                version_id, change.meter, number, change.definition, change.effective_from_us, is_retired
            )
        )
    return Backdated(versions, planned.errors)


def _starts_before(one: StoredVersion, from_us: int | None) -> bool:
    if from_us is None:
        return False
    return one.effective_from_us is None or one.effective_from_us < from_us
