"""What nobody pays for, on the command line: units and money held to the file that was published."""

from fractions import Fraction

from integration.cli.fixtures import Metering, write
from integration.cli.test_journey import counted, csv_of, ready, rows
from support.processes import Commands

__all__ = ["ready"]  # the fixture

PLANS = """\
plans:
  - name: pro
    currency: EUR
    rounding: {places: 2}
    charges: [{name: tokens, meter: tokens, price: {model: per_unit, per: 1000, unit_price: 3}}]
  - name: cheap
    currency: EUR
    rounding: {places: 2}
    charges: [{name: tokens, meter: tokens, price: {model: per_unit, per: 1000, unit_price: 1}}]
subscriptions:
  - name: zero-pro
    customer: zero
    subjects: [customer-0]
    plan: pro
    start: 2023-11-16T18:00:00Z
    billing_period: hour
"""


async def test_units_and_money_of_what_nobody_pays_for(ready: Metering, commands: Commands) -> None:
    given = rows()
    write("rows.csv", csv_of(given))
    write("plans.yaml", PLANS)
    await ready("publish", "--csv", "rows.csv", "--mapping", "mapping.yaml", "--tick-after", "2h")
    await ready("catalog", "apply", "plans.yaml")
    await counted(commands)
    await commands.run("rate", "--once")

    found = (await ready("unrated", "--json")).lines
    told = [(one["kind"], one["meter"], one.get("subject"), one.get("reason")) for one in found]
    assert told == [
        ("usage", "calls", "customer-0", "no_charge"),
        ("usage", "calls", "customer-1", "no_subscription"),
        ("usage", "models", "customer-0", "no_charge"),
        ("usage", "models", "customer-1", "no_subscription"),
        ("usage", "tokens", "customer-1", "no_subscription"),
        ("silent", "tokens", None, None),
    ]
    tokens = sum(
        (Fraction(amount) for row, (_, amount, _) in enumerate(given, start=1) if row % 2), Fraction()
    )
    usage, silent = found[-2:]
    assert Fraction(usage.pop("quantity")) == tokens
    (at_risk,) = usage.pop("at_risk")
    assert (Fraction(at_risk.pop("least")), Fraction(at_risk.pop("most"))) == (
        tokens / 1000,
        tokens * 3 / 1000,
    )
    assert at_risk == {"currency": "EUR", "least_plan": "cheap", "most_plan": "pro"}
    assert usage == {
        "kind": "usage",
        "meter": "tokens",
        "subject": "customer-1",
        "reason": "no_subscription",
        "group": {},
        "other": False,
        "start": "2023-11-16T18:00:00Z",
        "end": "2023-11-16T20:00:00Z",
        "events": 60,
        "not_estimated": None,
    }
    (period, last) = (await ready("rated", "zero-pro", "--json")).lines[:2]
    assert (period["period_start"], last["period_start"]) == ("2023-11-16T18:00:00Z", "2023-11-16T19:00:00Z")
    assert silent == {
        "kind": "silent",
        "subscription": "zero-pro",
        "customer": "zero",
        "meter": "tokens",
        "subjects": ["customer-0"],
        "since": "2023-11-16T20:00:00Z",
        "until": "2023-11-16T21:00:00Z",
        "silence_s": 3600,
        "longest_before_s": 0,
        "at_risk": {
            "currency": "EUR",
            "amount": last["amount"],
            "period_start": "2023-11-16T19:00:00Z",
            "version": 1,
        },
        "not_estimated": None,
    }

    asked = ("unrated", "--meter", "calls", "--subject", "customer-1", "--to", "2023-11-16T19:00:00Z")
    (one,) = (await ready(*asked, "--json")).lines
    assert (one["quantity"], one["end"], one["not_estimated"]) == ("30", "2023-11-16T19:00:00Z", "no_plan")
    shown = (await ready("unrated")).out
    for text in ("no_subscription: No subscription", "(cheap) to", "zero-pro", "EUR a period", "1:00:00"):
        assert text in shown
    refused = await ready("unrated", "--meter", "nothing", "--json", exits=2)
    assert [one["title"] for one in refused.problems] == ["unknown_meter"]
