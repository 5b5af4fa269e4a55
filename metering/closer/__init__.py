"""The closer: makes windows final, one process at a time (`metering.process.exclusive`).

What is logged beside the lines of `exclusive`, under a name that does not change:

    closed      windows have become final [log_time, final_before: by meter]
"""

from metering.closer.closer import Closer

__all__ = ["Closer"]
