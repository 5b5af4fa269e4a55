"""The one place that speaks SQL: numbered migrations, named statements and their typed call sites.

Every function takes a connection first, made by `connection.connect`: it fixes the schema (through
`search_path`, so nothing here is qualified), the plans and the types. Times are microseconds since the Unix
epoch on this side and `timestamptz` on the other; JSON numbers are exact.

The way of a batch: `flush` compares and sets its partition's row, then `ledger`, `windows` and `quarantine`
write what it holds, all in one transaction. `claim` and `load` read what the next one needs.
"""
