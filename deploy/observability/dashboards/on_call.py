"""What whoever is on call looks at first: is anything wrong, how late are we, what waits for a person."""

from grafana_foundation_sdk.builders.dashboard import Dashboard

from deploy.observability.dashboards.panels import (
    ANY_IS_BAD,
    ANY_IS_ODD,
    Limit,
    Panel,
    add,
    dashboard,
    lines,
    listing,
    number,
    state,
)
from deploy.observability.dashboards.queries import PROMETHEUS, now, over_time

SIX_HOURS_S = 6 * 3600
A_DAY_S = 24 * 3600


def on_call() -> Dashboard:
    """The dashboard."""
    board = dashboard(
        "on-call",
        "on call",
        "Is anything wrong? `metering doctor` names the cause and the next step.",
        since="now-1h",
        refresh="10s",
    )
    add(board, PROMETHEUS, "Is anything wrong?", *_verdicts())
    add(board, PROMETHEUS, "How late are we?", *_delays())
    add(board, PROMETHEUS, "What waits for a person?", *_work())
    add(board, PROMETHEUS, "What is odd?", *_oddities())
    add(board, PROMETHEUS, "Who reads over HTTP", *_readers())
    return board


def _verdicts() -> tuple[Panel, ...]:
    return (
        state(
            "Group",
            "Of the worst partition, by the observer. Not known: nobody observes, or a server is away.",
            now("max by (state) (metering_group_state) == 1", "{{state}}"),
        ),
        number(
            "Partitions not ok",
            "How many are in any other state; which ones is listed below.",
            now('sum(max by (partition, state) (metering_partition_state{state!="ok"}))'),
            limits=ANY_IS_BAD,
        ),
        number(
            "Servers that answer",
            "1: the server answers an observer.",
            now("min by (server) (metering_server_up)", "{{server}}"),
            base="red",
            limits=(Limit(1, "green"),),
        ),
        number(
            "Processes that answer",
            "How many of each kind Prometheus can scrape. It is not told whether more should be there.",
            now('sum by (process) (up{job="metering"})', "{{process}}"),
            base="red",
            limits=(Limit(1, "green"),),
            columns=12,
        ),
        number(
            "Duties held",
            "0: nobody closes, rates, observes or proves, by the database's own word.",
            now("max by (duty) (metering_duty_held)", "{{duty}}"),
            base="red",
            limits=(Limit(1, "green"),),
            columns=8,
        ),
        number(
            "Retention left",
            "Time until Kafka may delete the oldest record that is not counted, of the worst partition.",
            now("min(metering_retention_left_seconds)"),
            unit="s",
            base="red",
            limits=(Limit(SIX_HOURS_S, "orange"), Limit(A_DAY_S, "green")),
        ),
        number(
            "Billing accuracy",
            "Share of the windows that the auditor recounted from the log and found equal.",
            now("min(metering_proof_accuracy)"),
            unit="percentunit",
            base="red",
            limits=(Limit(1, "green"),),
        ),
        number(
            "Findings",
            "What the auditor found wrong and nobody has put right: `metering doctor` names each.",
            now("sum(max by (kind) (metering_proof_findings))"),
            limits=ANY_IS_BAD,
        ),
        number(
            "Since the last proof",
            "Since the auditor had recounted a stretch of every partition.",
            now("time() - max(metering_proof_timestamp_seconds)"),
            unit="s",
            limits=(Limit(3600, "orange"), Limit(A_DAY_S, "red")),
        ),
        listing(
            "Alerts",
            "What fires now; empty: nothing does. Each alert links to its runbook.",
            now('ALERTS{alertstate="firing"}'),
        ),
        listing(
            "Partitions by state",
            "The state of each partition, by the observer.",
            now("max by (partition, state) (metering_partition_state) == 1"),
        ),
    )


def _delays() -> tuple[Panel, ...]:
    return (
        lines(
            "Lag",
            "The newest record of the log less the newest that is counted, by the log's own timestamps.",
            over_time("max by (partition) (metering_lag_time_seconds)", "partition {{partition}}"),
            unit="s",
        ),
        lines(
            "Freshness",
            "Age of the newest event that is counted: of all, and of each meter. It also grows "
            "when nothing is sent.",
            over_time("max(metering_freshness_seconds)", "all"),
            over_time("max by (meter) (metering_meter_freshness_seconds)", "{{meter}}"),
            unit="s",
        ),
        lines(
            "Finality overdue",
            "How long a window could have been final if the partition that is farthest behind were not.",
            over_time("max by (meter) (metering_finality_overdue_seconds)", "{{meter}}"),
            unit="s",
        ),
        lines(
            "Finality delay",
            "From the end of the last final window to the newest record: the grace, and up to a window more.",
            over_time("max by (meter) (metering_finality_delay_seconds)", "{{meter}}"),
            unit="s",
        ),
        lines(
            "What blocks finality",
            "The partition that a meter waits for, and the log time that it lacks. Empty: there is none.",
            over_time(
                "max by (meter, partition) (metering_finality_blocked_seconds)",
                "{{meter}} waits for partition {{partition}}",
            ),
            unit="s",
        ),
        lines(
            "Behind the foremost partition",
            "By log time; the greatest of them delays what is final.",
            over_time("max by (partition) (metering_frontier_behind_seconds)", "partition {{partition}}"),
            unit="s",
        ),
    )


def _work() -> tuple[Panel, ...]:
    return (
        lines(
            "Quarantine",
            "Refused records that nobody has decided about, by code.",
            over_time("max by (code) (metering_quarantine_records)", "{{code}}"),
            stacked=True,
        ),
        lines(
            "Oldest in quarantine",
            "Kafka may delete what lies here for too long; the bytes are kept in the database.",
            over_time("max by (code) (metering_quarantine_age_seconds)", "{{code}}"),
            unit="s",
        ),
        listing(
            "Stopped partitions",
            "Each waits for a person; the code is a section of the runbook.",
            now("max by (partition, code) (metering_partitions_stopped) == 1"),
        ),
        lines(
            "Retention left",
            "Time until Kafka may delete what is not counted yet: at 0 usage is lost.",
            over_time("min by (partition) (metering_retention_left_seconds)", "partition {{partition}}"),
            unit="s",
        ),
    )


def _oddities() -> tuple[Panel, ...]:
    return (
        number(
            "Silent meters",
            "No events for longer than their own past explains. Silence is not zero: ask the producer.",
            now("sum(max by (meter) (metering_meter_silent))"),
            limits=ANY_IS_BAD,
        ),
        number(
            "Silent sources",
            "Not heard for longer than their own past explains: a service has stopped, or is cut off.",
            now('max(metering_sources{standing="silent"})'),
            limits=ANY_IS_BAD,
        ),
        number(
            "Sources that nobody watches",
            "Beyond the 200 of a partition: their silence is not told. A source should name a service.",
            now('max(metering_sources{standing="beyond"})'),
            limits=ANY_IS_ODD,
        ),
        number(
            "Unusual subjects",
            "Their usage left the range of the same hour before: a leak, a bug or a new customer.",
            now("sum(max by (meter) (metering_meter_anomalies))"),
            limits=ANY_IS_ODD,
        ),
        number(
            "Misplaced records that wait",
            "The outbox republishes them to the right partition; it should drain.",
            now("max(metering_outbox_pending)"),
            limits=(Limit(1, "orange"), Limit(10_000, "red")),
        ),
        number(
            "Clock of servers",
            "How far each is ahead of the observer's machine.",
            now("max by (server) (metering_server_skew_seconds)", "{{server}}"),
            unit="s",
            limits=(Limit(1, "orange"), Limit(10, "red")),
        ),
        number(
            "Log ahead of the database",
            "A record from the future: a broker's or a producer's clock is wrong.",
            now("max(metering_log_ahead_seconds)"),
            unit="s",
            limits=(Limit(1, "orange"), Limit(10, "red")),
        ),
        number(
            "Oldest transaction",
            "It keeps the database from clearing away old row versions.",
            now("max(metering_database_transaction_age_seconds)"),
            unit="s",
            limits=(Limit(300, "orange"), Limit(3600, "red")),
        ),
    )


def _readers() -> tuple[Panel, ...]:
    return (
        lines(
            "Requests by status",
            "Above 499 it is our fault; 429 is a token that asks too often.",
            over_time(
                "sum by (status) (rate(metering_api_duration_seconds_count[$__rate_interval]))", "{{status}}"
            ),
            unit="reqps",
        ),
        lines(
            "Time of requests",
            "To the end of the answer, and in it the wait for a connection of the pool.",
            over_time(_slowest("metering_api_duration_seconds"), "answer, 99 %"),
            over_time(_slowest("metering_api_connection_wait_seconds"), "wait, 99 %"),
            unit="s",
        ),
    )


def _slowest(histogram: str) -> str:
    return f"histogram_quantile(0.99, sum by (le) (rate({histogram}_bucket[$__rate_interval])))"
