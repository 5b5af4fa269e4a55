"""What every long-running process has: an end, probes, patience, and a turn if only one may be at work.

shutdown    SIGTERM and SIGINT: the first drains, the second ends at once
health      `/healthz` and `/readyz`
patience    a server that is away is waited for
exclusive   a duty that one process does at a time while others wait: closing, rating
"""
