"""The observer: says how everything stands, whoever is at work (`metering.process.exclusive`).

What is logged beside the lines of `exclusive`, under names that do not change:

    group_state     the worst partitions are in another state, or others are [state, partitions]
    server_down     a server does not answer any more [server, error]
    server_up       it does again [server]
    rare_look_failed  what takes longer could not be looked at [error]
    meter_silent    a meter has had no events for longer than its past explains [meter, since_us]
    source_silent   a source was not heard for longer than its past explains [source, since_us]
    usage_unusual   subjects used more or less than in the same hour before [meter, count, subjects]
"""
