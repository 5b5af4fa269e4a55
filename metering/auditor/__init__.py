"""The auditor: proves what was counted, again and again, one process at a time.

It recounts windows from the log by the second implementation (`metering.explain`), never by the fold; goes
through the ledger; re-adds windows against it; and compares the brokers' offsets with what was accounted for.
It takes turns as all duties do (`metering.process.exclusive`).

What is logged beside the lines of `exclusive`, under names that do not change, with their fields:

    auditing        a turn begins; the same seed makes the same choices, of the same state [seed]
    round_ended     of every partition a stretch was recounted [records, log_time]
    unreadable      final windows of a partition cannot be recounted [partition, why]
    proof_waits     the brokers do not answer; what needs the log is proved later [error]
    found_wrong     two sides differ that must not [kind, sentence, place, expected, found]
    put_right       what was found wrong is as it should be again [kind, place]
"""

from metering.auditor.auditor import Auditor

__all__ = ["Auditor"]
