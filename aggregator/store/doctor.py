"""Re-checks that everything stored adds up: what a flush promises, proved from the tables alone."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from aggregator.store.connection import Connection
from aggregator.store.statements import STATEMENTS


class Finding(NamedTuple):
    """A rule that does not hold."""

    code: str
    sentence: str
    rows: Sequence[Mapping[str, Any]]  # the first of those that break it; times in microseconds
    row_count: int


CHECKS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "topic_partitions": "The schema must have exactly one row per partition of its topic.",
        "ledger_gap": "The ledger's ranges must join: an offset is accounted for twice or not at all.",
        "ledger_ends": "The ledger must begin and end where its partition does.",
        "ledger_partition": "The ledger must name only partitions that the topic has.",
        "ledger_time": "The ledger's frontiers must not fall, and must end at the partition's frontier.",
        "outcome_counters": "A partition's counters must be the sums of its ledger.",
        "lost_reason": "Every lost offset must have been skipped by somebody, with a reason.",
        "ids": "There must be one remembered or dropped id per accepted event.",
        "meter_ledger": "Both ledgers must agree on how many events matched a meter.",
        "meter_version": "The second ledger must name only meter versions that exist.",
        "series_meter": "A series must belong to a meter version that exists.",
        "window_series": "A window, a member or an adjustment must belong to a series that exists.",
        "window_totals": "Windows must re-add to the second ledger's events and sums.",
        "adjustment_totals": "Late events and voids must re-add to the second ledger's events and sums.",
        "corrections": "Every correction must be of a promotion, and every promotion have all of its rows.",
        "replacements": "Only what does not add up may be replaced, and never by what knew less of the log.",
        "adjustment_series": "An adjustment's series must be one of its own meter version.",
        "voids": "What was withdrawn from a window must have been counted in it, each point of a gauge.",
        "window_values": "A window's value must be of the form that its aggregation writes.",
        "window_offsets": "A window's offsets must be among those that its partition has counted.",
        "members": "A `unique` window must have members, at most one per event; none may lack its window.",
        "points": "A gauge's window must have a point for each event, and hold the newest of them.",
        "late_windows": "No window may change once its partition has passed its end and its meter's grace.",
        "closing": "No partition's frontier may be behind the closing, on which everything final rests.",
        "watermarks": "A watermark must be the last boundary of its meter's windows that the closing allows.",
        "final_guard": "Every table of windows must refuse changes behind the watermark.",
        "quarantine_rows": "Every refused record must be kept in quarantine, once.",
        "meter_errors": "Every event that a meter could not read must be kept in quarantine for it, once.",
        "outbox": "Every misplaced record, and no other, must be in the outbox.",
        "repair_origins": "Every counted repair must repair what lies in quarantine, and nothing twice.",
        "redriven": "What was brought back must be in the outbox, what was given up not, and neither twice.",
        "term_versions": "Plans and subscriptions must have versions 1, 2, …, and keep what is fixed.",
        "subscription_subjects": "Subscriptions must be found by every subject that they named, no others.",
        "feed_positions": "The feed's positions must be 1, 2, …, up to its head.",
        "feed_entries": "The feed must tell of every rated total and crossing, once, and of nothing else.",
        "rated_versions": "Versions must be 1, 2, …, of closed and growing cuts, each with its difference.",
        "rated_differences": "A version must be the one before and its difference, in units and money.",
        "rated_documents": "What stands beside a rated document must be what the document says.",
        "rated_sums": "Lines must add up to charges, charges to segments, segments to the rated total.",
        "rated_periods": "Rated periods must not overlap, and the next begin where the last one ended.",
        "rated_terms": "A rated total must name versions of its terms that exist.",
        "terms_known": "A rated total must rest on the newest terms that had begun and that its cut knew.",
    }
)
"""What is checked, by code; the statement of each is named `doctor_<code>`."""

_ROWS_SHOWN: Final = 20


async def checks(connection: Connection) -> list[Finding]:
    """Check everything, in one snapshot; workers may go on. No findings means that all is well.

    Reads whole tables: give the connection a long statement timeout. Any role may call it.
    """
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        return await findings(connection)


async def findings(connection: Connection) -> list[Finding]:
    """As `checks`, within a transaction that sees one state of the tables."""
    found = []
    for code, sentence in CHECKS.items():
        rows = await connection.fetch(STATEMENTS[f"doctor_{code}"])
        if rows:
            shown = [dict(row) for row in rows[:_ROWS_SHOWN]]
            found.append(Finding(code, sentence, shown, len(rows)))
    return found
