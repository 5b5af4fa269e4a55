"""The one place that speaks SQL: numbered migrations, named statements and their typed call sites.

Every function takes a connection first, made by `connection.connect` or `connection.pool`: it fixes the
schema (through `search_path`, so nothing here is qualified), the plans and the types. Times are microseconds
since the Unix epoch on this side and `timestamptz` on the other; JSON numbers are exact.

The way of a flush: `flush` compares and sets `ingest_partition`, then `ledger`, `chunks`, `windows` and
`quarantine` write what a batch holds, all in one transaction.
"""
