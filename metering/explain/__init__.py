"""Explains what was counted and rated: down to offsets, and once more from the log by other means.

`recount` and `reprice` are a second, simple implementation of what the pipeline does: loops over events and
lines, without columns, batches or states. They know the contracts (`schemas`) and nothing else of ours, so
that a mistake in the pipeline is not repeated by its proof.
"""
