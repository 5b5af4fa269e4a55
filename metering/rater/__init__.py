"""The rater: prices what has become final, one process at a time (`metering.process.exclusive`).

What is logged beside the lines of `exclusive`, under names that do not change, with their fields:

    scheduled       terms have changed; it is known anew when their periods can be rated [subscriptions]
    rated           periods have their first version [periods, log_time]
    cuts_rated      later cuts were looked at; those that change something have made versions [cuts, versions]
    crossed         thresholds were crossed [thresholds]
    feed_pushed     the feed's topic holds all up to a position [entries, position]
    feed_waiting    the feed's topic cannot be written to; tried again [error]
"""

from metering.rater.rater import Rater

__all__ = ["Rater"]
