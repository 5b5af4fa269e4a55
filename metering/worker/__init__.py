"""The worker: `run` counts a topic as one member of its consumer group.

The way of a record, a file a step:

    session     a member of the group: one tenure per assignment
    tenure      one assignment: claim, then fetch, fold and flush side by side until it is revoked
    claiming    raise the partitions' epochs, load what they remember
    guard       compare their logs with what is counted (`verification`, `topic_watch`, `log_reader`), now and
                whenever another broker leads one; `seek` and go
    intake      records and positions from the client, every offset accounted for
    backlog     what waits for its batch; memory is bounded here
    pipeline    one batch is folded (`folder`, `folding`) while the one before it is flushed (`landing`)
    flushing    one transaction, repeated or asked about until its outcome is certain

Beside it: `mirror`, `ticks` and `lag` of a tenure; `outbox`, `housekeeping` and `caught_up` of the process.
`run` puts it all together, `patience` waits for servers, `stops` says why counting stops.

What is logged, under names that do not change, with its fields (`partitions` are next offsets by number):

    worker_started         the servers answer and the topic is the right one [instance, topic, partitions,
                           clock, group, catalog_head, until_caught_up]
    admin_listening        `/healthz` and `/readyz` can be asked [host, port]
    catalog_loaded         at the start, and when a flush found a newer head [head, meter_versions]
    catching_up            what `--until-caught-up` waits for [ends]
    partitions_claimed     epochs are raised and ids loaded [partitions, epochs, remembered_ids]
    partitions_checked     their logs are the ones that were counted; fetching begins [partitions]
    partition_suspended    a log must be checked again [partition, why, leader_epoch]
    flushed                a batch is committed [partitions, records]
    flush_divided          a value was refused, or contradicts what is stored: in smaller parts now [error]
    flush_retried          a doubtful flush was not committed and is sent again [partitions]
    store_rejected         the record whose value the database refuses is found [partition, offset, error]
    unknown_outcome        COMMIT was sent and not confirmed [ranges]
    unknown_outcome_resolved   what became of it [ranges, resolution: committed, retry or fenced]
    fenced                 others have claimed partitions; this member joins anew [partitions]
    membership_lost        the group or the brokers gave up on this member; it joins anew [error]
    partitions_revoked     the group takes them away; they are drained first [partitions: their numbers]
    drained                all that was fetched is committed [partitions]
    drain_deadline_passed  it is not, and is left to the next owner [deadline_s]
    partition_stopped      a partition is set aside [code, partition, offset, seen, advice]
    stop_not_noted         the database was not told of a stop before the end [error]
    repairs_published      misplaced records are on their way to their partitions [records]
    ids_merged, ids_dropped    housekeeping [partition, hour, chunks; day_us]
    caught_up              all of `ends` is counted [ends]
    server_away            brokers or database do not answer; tried again [server, work, waited_s, error]
    mirror_failed, tick_failed, lag_unknown, outbox_waiting, client_abandoned    harmless, tried again [error]
    stopping               the first SIGTERM or SIGINT [signal]
    stopped                the last line [code: null or why, flushes, and records by outcome]
"""

from metering.worker.run import run

__all__ = ["run"]
