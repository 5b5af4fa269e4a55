"""Subscriptions that have fallen silent: a meter without events for longer than it ever had none before.

Time is that of the log: it runs up to where the meter's windows are final, for nothing on time can fill those
any more. So the same log gives the same silences, whoever looks and whenever.
"""

from collections.abc import Sequence
from enum import StrEnum
from fractions import Fraction
from typing import NamedTuple

from schemas.rated import RatedTotal


class SilenceKind(StrEnum):
    """How a meter is silent. Scripted against: never rename one."""

    SILENT = "silent"  # there were events, and then none for longer than ever
    NEVER_USED = "never_used"  # there was no event since the subscription began


class NotKnown(StrEnum):
    """Why no money at risk is told."""

    NEVER_USED = "never_used"
    NO_FINAL_PERIOD = "no_final_period"  # no period was over, and rated, before the last events


class ChargedTime(NamedTuple):
    """A time in which a subscription's plan charges a meter for one subject: `[start_us, end_us)`."""

    subject: str
    start_us: int
    end_us: int | None  # None: for ever


class ChargedMeter(NamedTuple):
    """A meter that a subscription's plan charges for, or did."""

    subscription: str
    customer: str
    meter: str
    times: Sequence[ChargedTime]

    @property
    def start_us(self) -> int:
        """When it was first charged for."""
        return min(time.start_us for time in self.times)

    @property
    def subjects(self) -> list[str]:
        """All subjects that it was ever charged for."""
        return sorted({time.subject for time in self.times})

    def is_charged(self, at_us: int) -> bool:
        """Whether it is charged for at an instant."""
        return any(
            time.start_us <= at_us and (time.end_us is None or at_us < time.end_us) for time in self.times
        )


class PastUse(NamedTuple):
    """What is known of a charged meter's windows with events."""

    first_start_us: int
    longest_gap_us: int  # between one with events and the next; 0 if there is one alone


class Silence(NamedTuple):
    """A charged meter without events, up to where it is final."""

    charged: ChargedMeter
    kind: SilenceKind
    since_us: int  # end of the last window with events, or the time since when it is charged for
    until_us: int
    longest_before_us: int | None  # the longest such time before; None: it was never used

    @property
    def length_us(self) -> int:
        """How long it lasts already."""
        return self.until_us - self.since_us


class AmountBefore(NamedTuple):
    """What the last rated period that was over before the silence came to, for the meter alone."""

    currency: str
    amount: Fraction
    period_start_us: int
    version: int


def never_used(charged: ChargedMeter, final_before_us: int) -> Silence | None:
    """The silence of a meter without any event while it is charged for; None while that is not final."""
    if charged.start_us >= final_before_us:
        return None
    return Silence(charged, SilenceKind.NEVER_USED, charged.start_us, final_before_us, None)


def fallen_silent(
    charged: ChargedMeter, past: PastUse, last_end_us: int, final_before_us: int
) -> Silence | None:
    """The silence of a meter that had events; None if it ever was without for as long before.

    The time from the beginning to the first event counts as one.
    """
    longest_us = max(past.longest_gap_us, past.first_start_us - charged.start_us)
    if final_before_us - last_end_us <= longest_us:
        return None
    return Silence(charged, SilenceKind.SILENT, last_end_us, final_before_us, longest_us)


def charged_for(document: RatedTotal, meter: str) -> Fraction:
    """What a rated total has for one meter: all of its charges, with their minimum and maximum."""
    return sum(
        (
            Fraction(charge.amount)
            for segment in document.segments
            for charge in segment.charges
            if charge.meter == meter
        ),
        Fraction(0),
    )
