"""What periods come to: their questions asked in four statements, however many periods there are."""

from collections.abc import Iterable, Sequence
from typing import Protocol, TypeVar

from aggregator.rating.document import Total, total
from aggregator.rating.meters import Meters
from aggregator.rating.questions import Answers, Questions, ask
from aggregator.rating.segments import RatedPeriod
from aggregator.store import usage
from aggregator.store.connection import Connection


class _Answer(Protocol):
    @property
    def request(self) -> int: ...


AnAnswer = TypeVar("AnAnswer", bound=_Answer)


async def rate(
    connection: Connection, meters: Meters, periods: Sequence[tuple[RatedPeriod, int | None]]
) -> list[Total]:
    """What each period comes to at its cut; with all that was counted so far, if it has none.

    What is read after a period's first cut is the same at any time; before that, give the connection a
    transaction that sees one state.
    """
    questions = Questions()
    requests = [ask(period, meters, cut_us, questions) for period, cut_us in periods]
    answers = await answered(connection, questions)
    return [
        total(period, meters, asked, answers) for (period, _), asked in zip(periods, requests, strict=True)
    ]


async def answered(connection: Connection, questions: Questions) -> Answers:
    """The answers to all questions, in four statements."""
    return Answers(
        _by_request(await usage.sums(connection, questions.sums)),
        _by_request(await usage.windows(connection, questions.windows)),
        _by_request(await usage.members(connection, questions.members)),
        _by_request(await usage.points(connection, questions.points)),
    )


def _by_request(answers: Iterable[AnAnswer]) -> dict[int, list[AnAnswer]]:
    found: dict[int, list[AnAnswer]] = {}
    for answer in answers:
        found.setdefault(answer.request, []).append(answer)
    return found
