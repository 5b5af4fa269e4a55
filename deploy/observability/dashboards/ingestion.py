"""How fast usage is counted, and what a batch spends its time on."""

from grafana_foundation_sdk.builders.dashboard import Dashboard

from deploy.observability.dashboards.panels import Panel, add, dashboard, lines
from deploy.observability.dashboards.queries import PROMETHEUS, over_time

RATE = "[$__rate_interval]"


def ingestion() -> Dashboard:
    """The dashboard."""
    board = dashboard(
        "ingestion",
        "ingestion",
        "How fast records are counted, and what a batch spends its time on.",
        since="now-1h",
        refresh="10s",
    )
    add(board, PROMETHEUS, "Records", *_records())
    add(board, PROMETHEUS, "Time", *_times())
    add(board, PROMETHEUS, "Batches and memory", *_sizes())
    add(board, PROMETHEUS, "Owners and servers", *_owners())
    return board


def _records() -> tuple[Panel, ...]:
    return (
        lines(
            "Records by outcome",
            "Every record of the log has one outcome.",
            over_time(f"sum by (outcome) (rate(metering_events_total{RATE}))", "{{outcome}}"),
            unit="cps",
            stacked=True,
        ),
        lines(
            "Refusals by code",
            "Records put into quarantine: a producer sends what cannot be counted.",
            over_time(f"sum by (code) (rate(metering_refusals_total{RATE})) > 0", "{{code}}"),
            unit="cps",
            stacked=True,
        ),
        lines(
            "Accepted events by what meters made of them",
            "An event counts once for each meter that it matches; adjustments came late.",
            over_time(f"sum by (outcome) (rate(metering_meter_events_total{RATE}))", "{{outcome}}"),
            unit="cps",
        ),
        lines(
            "Records that wait",
            "Records in the log that are not counted yet, by partition.",
            over_time("max by (partition) (metering_lag_records)", "partition {{partition}}"),
            stacked=True,
        ),
    )


def _times() -> tuple[Panel, ...]:
    return (
        lines(
            "From the broker to visible",
            "Of the oldest record of each batch; only where brokers stamp. The clocks' difference is in it.",
            over_time(_quantile("0.5", "metering_visible_latency_seconds", '{record="oldest"}'), "half"),
            over_time(_quantile("0.99", "metering_visible_latency_seconds", '{record="oldest"}'), "99 %"),
            unit="s",
        ),
        lines(
            "Flush",
            "Time of a flush's transaction that was committed.",
            over_time(_quantile("0.5", "metering_flush_duration_seconds", '{result="committed"}'), "half"),
            over_time(_quantile("0.99", "metering_flush_duration_seconds", '{result="committed"}'), "99 %"),
            unit="s",
        ),
        lines(
            "Stages of a flush",
            "Mean time of each part: which one grows when the database is slow.",
            over_time(_mean("metering_flush_stage_duration_seconds", "stage"), "{{stage}}"),
            unit="s",
            stacked=True,
        ),
        lines(
            "Steps of a batch",
            "Mean time of each. A batch is folded while the one before it is flushed.",
            over_time(_mean("metering_fetch_duration_seconds"), "fetch"),
            over_time(_mean("metering_fold_duration_seconds"), "fold"),
            over_time(_mean("metering_flush_duration_seconds"), "flush"),
            over_time(_mean("metering_load_duration_seconds"), "load old ids and windows"),
            unit="s",
        ),
    )


def _sizes() -> tuple[Panel, ...]:
    return (
        lines(
            "Records of a batch",
            "Mean. Small while there is little to do; at the limit of a flush while catching up.",
            over_time(_mean("metering_batch_records"), "records"),
        ),
        lines(
            "Statements of a flush",
            "Mean. It should not depend on the number of records.",
            over_time(_mean("metering_flush_statements"), "statements"),
        ),
        lines(
            "Fetched and not yet flushed",
            "Fetching pauses at the limit (`buffer_bytes`).",
            over_time("sum(metering_buffer_size_bytes)", "buffered"),
            unit="bytes",
        ),
        lines(
            "Memory of processes",
            "Resident memory by kind of process; of it, the ids that new events are compared with.",
            over_time('sum by (process) (process_resident_memory_bytes{job="metering"})', "{{process}}"),
            over_time("sum(metering_memory_size_bytes)", "ids"),
            unit="bytes",
        ),
        lines(
            "Processor time",
            "Cores in use, by kind of process.",
            over_time(
                f'sum by (process) (rate(process_cpu_seconds_total{{job="metering"}}{RATE}))', "{{process}}"
            ),
        ),
        lines(
            "Write-ahead log for each record",
            "Of the whole server; it grows with the share of windows that a batch touches.",
            over_time(
                f"max(rate(metering_database_wal_bytes{RATE})) / sum(rate(metering_events_total{RATE}))",
                "bytes",
            ),
            unit="bytes",
        ),
    )


def _owners() -> tuple[Panel, ...]:
    return (
        lines(
            "Rebalances, claims and fences",
            "A rebalance hands partitions out; a fenced worker found that another has its partition.",
            over_time("sum(increase(metering_rebalances_total[$__rate_interval]))", "rebalances"),
            over_time("sum(increase(metering_claims_total[$__rate_interval]))", "claims"),
            over_time("sum(increase(metering_fenced_total[$__rate_interval]))", "fenced"),
        ),
        lines(
            "Commits in doubt",
            "Flushes whose commit nobody answered, by what the database said afterwards.",
            over_time(
                f"sum by (resolution) (increase(metering_unknown_outcomes_total{RATE}))", "{{resolution}}"
            ),
        ),
        lines(
            "Servers that did not answer",
            "Attempts that failed and were made again, by server and kind of process.",
            over_time(
                f"sum by (server, process) (increase(metering_server_away_total{RATE}))",
                "{{server}} for {{process}}",
            ),
        ),
        lines(
            "Connections made to the database",
            "Another after each doubt: a steady rate is a network or a server that cuts them.",
            over_time(f"sum by (line) (increase(metering_database_connections_total{RATE}))", "{{line}}"),
        ),
        lines(
            "Row versions that wait to be cleared away",
            "By table. They grow while a transaction is long open, or vacuum cannot keep up.",
            over_time("max by (table) (metering_database_dead_rows)", "{{table}}"),
        ),
        lines(
            "Size of the database",
            "On disk.",
            over_time("max(metering_database_size_bytes)", "database"),
            unit="bytes",
        ),
    )


def _quantile(share: str, histogram: str, of: str) -> str:
    return f"histogram_quantile({share}, sum by (le) (rate({histogram}_bucket{of}{RATE})))"


def _mean(histogram: str, by: str = "") -> str:
    total = f"sum by ({by}) " if by else "sum"
    return f"{total}(rate({histogram}_sum{RATE})) / {total}(rate({histogram}_count{RATE}))"
