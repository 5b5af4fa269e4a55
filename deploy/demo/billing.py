"""The demo's second half: totals become money, a late event corrects one of them, and the log explains it."""

import json
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

from commands import Commands, console
from invoices import Bill, Change, Invoice, Line, changes, invoices
from money_report import change_table, money_differences, money_table
from reader import Reader
from recount import Request, requests

LATE: Final = Request(
    "customer-07", "code", datetime(2023, 11, 16, 18, 40, tzinfo=UTC), Decimal(250_000), Decimal(1_000)
)
"""Its hour is final and rated when it comes."""

LATE_TICK_AFTER: Final = "4h"
"""What the log's clock reads after it: beyond the cut of the version that holds it."""

Notice = Mapping[str, Any]


class Billing:
    """Rates what was counted, and compares every amount with plain arithmetic."""

    def __init__(self, commands: Commands, files: Path) -> None:
        self._commands = commands
        self._files = files

    def run(self) -> list[str]:
        """Do every step; a line for everything that was found wrong."""
        before, after = invoices(requests()), invoices([*requests(), LATE])
        self._commands.do("rate", "--once")
        with Reader(self._commands, self._files / "api.log") as reader:
            first = reader.news()
            wrong = self._wrong_totals(reader, first, before)
            self._publish_late()
            for command in ("worker", "--until-caught-up"), ("close", "--once"), ("rate", "--once"):
                self._commands.do(*command)
            everything = reader.news()
            if everything[: len(first)] != first:
                wrong.append("The feed has changed what it said before.")
            second = everything[len(first) :]
            wrong += self._wrong_correction(reader, second, before, after)
        return wrong + self._unexplained(second)

    def _wrong_totals(
        self, reader: Reader, notices: Sequence[Notice], computed: Mapping[Bill, Invoice]
    ) -> list[str]:
        documents = reader.documents()
        rated = {_bill(notice): _invoice(documents[notice["id"]]) for notice in notices}
        console.print(money_table(rated, computed))
        lines = sum(len(invoice.lines) for invoice in computed.values())
        console.print(
            f"All {len(computed)} rated totals compared, {lines} lines in units and in money, unrounded too."
        )
        wrong = [
            f"{notice['id']}: {notice['amount']} by the feed, but its document says otherwise."
            for notice in notices
            if _total(notice) != rated[_bill(notice)]._replace(lines={}) or notice["version"] != 1
        ]
        return wrong + money_differences(rated, computed)

    def _publish_late(self) -> None:
        """One more request, whose hour is over."""
        event = {
            "specversion": "1.0",
            "id": "late-1",
            "source": "azure-llm-2023",
            "type": "llm.request",
            "subject": LATE.customer,
            "time": LATE.time.isoformat(),
            "data": {
                "model": LATE.model,
                "input_tokens": int(LATE.input_tokens),
                "output_tokens": int(LATE.output_tokens),
            },
        }
        file = self._files / "late.ndjson"
        file.write_text(json.dumps(event))
        console.print(f"One more event of {LATE.customer} at {LATE.time:%H:%M}: that hour is final and rated")
        self._commands.do("publish", str(file), "--tick-after", LATE_TICK_AFTER)

    def _wrong_correction(
        self,
        reader: Reader,
        notices: Sequence[Notice],
        before: Mapping[Bill, Invoice],
        after: Mapping[Bill, Invoice],
    ) -> list[str]:
        if [notice["version"] for notice in notices] != [2]:
            return [f"One second version was to come, and these came: {notices}."]
        (notice,) = notices
        bill, document = _bill(notice), reader.documents()[notice["id"]]
        told = {
            (line["charge"], _model(line["group"])): Change(
                Fraction(line["quantity"]), Fraction(line["amount"])
            )
            for line in document["difference"]["lines"]
        }
        computed = changes(before[bill], after[bill])
        console.print(change_table(f"What version {notice['id']} has changed", told, computed))
        amount = after[bill].amount - before[bill].amount
        wrong = [f"The lines of {notice['id']} have not changed as computed."] if told != computed else []
        if Fraction(document["difference"]["amount"]) != amount:
            wrong.append(f"{notice['id']} differs by {document['difference']['amount']}, not {amount}.")
        return wrong + money_differences({bill: _invoice(document)}, {bill: after[bill]})

    def _unexplained(self, notices: Sequence[Notice]) -> list[str]:
        """Let the product read the log again, and compute a total from it by other means."""
        wrong = []
        for notice in notices:
            try:
                self._commands.do("explain", notice["id"])
            except subprocess.CalledProcessError:
                wrong.append(f"`metering explain {notice['id']}` is not content: see above.")
        return wrong


def _bill(notice: Notice) -> Bill:
    return Bill(notice["customer"], datetime.fromisoformat(notice["period"]["start"]))


def _total(notice: Notice) -> Invoice:
    return Invoice({}, Fraction(notice["unrounded_amount"]), Fraction(notice["amount"]))


def _invoice(document: Mapping[str, Any]) -> Invoice:
    lines = {
        (charge["charge"], _model(line["group"])): Line(
            Fraction(line["quantity"]), Fraction(line["unrounded_amount"]), Fraction(line["amount"])
        )
        for segment in document["segments"]
        for charge in segment["charges"]
        for line in charge["lines"]
    }
    return Invoice(lines, Fraction(document["unrounded_amount"]), Fraction(document["amount"]))


def _model(group: Mapping[str, str]) -> str:
    return group.get("model", "")
