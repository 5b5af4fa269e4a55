"""Whether what is billed is right: what proves it, and what is not billed yet."""

from grafana_foundation_sdk.builders.dashboard import Dashboard

from deploy.observability.dashboards.panels import (
    ANY_IS_BAD,
    ANY_IS_ODD,
    Limit,
    Panel,
    add,
    dashboard,
    lines,
    number,
)
from deploy.observability.dashboards.queries import PROMETHEUS, now, over_time

RATE = "[$__rate_interval]"


def accuracy() -> Dashboard:
    """The dashboard."""
    board = dashboard(
        "billing-accuracy",
        "billing accuracy",
        "Whether what is billed is right: what proves it, and what is not billed yet.",
        since="now-24h",
        refresh="1m",
    )
    add(board, PROMETHEUS, "Recounted from the log", *_proof())
    add(board, PROMETHEUS, "Money that is missing", *_missing())
    add(board, PROMETHEUS, "What changed after it was final", *_changes())
    add(board, PROMETHEUS, "Rating", *_rating())
    return board


def _proof() -> tuple[Panel, ...]:
    return (
        number(
            "Accuracy",
            "Share of the windows of the last hundred proofs, and rows beside them, that equal the log.",
            now("min(metering_proof_accuracy)"),
            unit="percentunit",
            base="red",
            limits=(Limit(1, "green"),),
            columns=6,
        ),
        number(
            "Findings",
            "By what does not hold; each is there until it is put right. `metering doctor` names them.",
            now("max by (kind) (metering_proof_findings)", "{{kind}}"),
            limits=ANY_IS_BAD,
            columns=12,
        ),
        number(
            "Since the last proof",
            "Since a stretch of every partition had been recounted.",
            now("time() - max(metering_proof_timestamp_seconds)"),
            unit="s",
            limits=(Limit(3600, "orange"), Limit(24 * 3600, "red")),
            columns=6,
        ),
        lines(
            "Accuracy over time",
            "At 100 % every window that was recounted was equal.",
            over_time("min(metering_proof_accuracy)", "accuracy"),
            unit="percentunit",
        ),
        lines(
            "Windows recounted",
            "By result; unreadable: too little of the log is kept, or brokers do not answer.",
            over_time(f"sum by (result) (increase(metering_proof_windows_total{RATE}))", "{{result}}"),
        ),
    )


def _missing() -> tuple[Panel, ...]:
    return (
        number(
            "Events that nobody pays for",
            "Counted, and no subscription has them: `metering unrated` says whose, why and how much.",
            now("max(metering_unrated_events)"),
            limits=ANY_IS_ODD,
        ),
        number(
            "Silent subscriptions",
            "Without usage for longer than ever before: a producer that forgot them bills nothing.",
            now("max(metering_unrated_subscriptions_silent)"),
            limits=ANY_IS_ODD,
        ),
        number(
            "Records in quarantine",
            "Usage that is not billed: `metering quarantine list` says what money is at risk.",
            now("sum(max by (code) (metering_quarantine_records))"),
            limits=ANY_IS_ODD,
        ),
        number(
            "Conflicts in the time shown",
            "Events with an id that was counted with another content: one of the two is wrong.",
            now('sum(increase(metering_events_total{outcome="conflict"}[$__range]))'),
            limits=ANY_IS_BAD,
        ),
        number(
            "Lost in the time shown",
            "Records that Kafka deleted before they were counted, as an operator acknowledged.",
            now('sum(increase(metering_events_total{outcome="lost"}[$__range]))'),
            limits=ANY_IS_BAD,
        ),
        number(
            "Counted as other",
            "In the time shown: their window had as many groups as the meter's limit allows.",
            now("sum(increase(metering_cardinality_overflow_total[$__range]))"),
            limits=ANY_IS_ODD,
        ),
        number(
            "At risk: nobody pays",
            "What such usage would cost on the cheapest and on the dearest plan of today: an estimate.",
            now("max by (currency, bound) (metering_unrated_at_risk)", "{{currency}} {{bound}}"),
            columns=6,
        ),
        number(
            "Without an estimate",
            "Events that nobody pays for, and no plan of today has a price for them, or they are too many.",
            now("max(metering_unrated_not_estimated)"),
            columns=6,
        ),
        number(
            "At risk: in quarantine",
            "What it would have cost on the cheapest and on the dearest plan of today: an estimate.",
            now(
                "sum by (currency, bound) (max by (code, currency, bound) (metering_quarantine_at_risk))",
                "{{currency}} {{bound}}",
            ),
            columns=6,
        ),
        number(
            "In quarantine without an estimate",
            "Records that cannot be read, have no price, or are too many.",
            now("sum(max by (code) (metering_quarantine_not_estimated))"),
            columns=6,
        ),
    )


def _changes() -> tuple[Panel, ...]:
    return (
        lines(
            "Adjustments and voids",
            "Events that came after their window was final, or withdrew one: they make new versions.",
            over_time(
                "sum by (outcome) ("
                f'increase(metering_meter_events_total{{outcome=~"adjustment|void"}}{RATE}))',
                "{{outcome}}",
            ),
        ),
        lines(
            "Late by our doing",
            "Repairs that became adjustments: the producer was on time.",
            over_time(f"sum(increase(metering_late_by_pipeline_total{RATE}))", "events"),
        ),
    )


def _rating() -> tuple[Panel, ...]:
    return (
        lines(
            "Versions of rated totals",
            "First ones of periods, and later ones that adjustments made.",
            over_time(f"sum by (versions) (increase(metering_rated_versions_total{RATE}))", "{{versions}}"),
        ),
        lines(
            "Thresholds crossed",
            "And entries of the feed that were written to its topic, if it has one.",
            over_time(f"sum(increase(metering_thresholds_crossed_total{RATE}))", "thresholds"),
            over_time(f"sum(increase(metering_feed_pushed_total{RATE}))", "entries pushed"),
        ),
        lines(
            "Time to rate",
            "Mean time of one transaction.",
            over_time(
                f"sum by (versions) (rate(metering_rate_duration_seconds_sum{RATE}))"
                f" / sum by (versions) (rate(metering_rate_duration_seconds_count{RATE}))",
                "{{versions}}",
            ),
            unit="s",
        ),
        lines(
            "Since a duty's last step",
            "A step ends every few seconds: who hangs has a line that climbs.",
            over_time(
                "time() - max by (duty) ("
                "metering_step_timestamp_seconds and on (instance, duty) (metering_at_work == 1))",
                "{{duty}}",
            ),
            unit="s",
        ),
    )
