"""The demo: real LLM usage through a real Kafka into Postgres, counted once whatever happens, and billed.

An hour of requests to two LLM services is published with copies, late events and malformed ones. Two workers
count them, and one is killed with -9 half-way. Every total is compared with a recount straight from the CSV
files, every rated total with plain arithmetic; then one late event corrects one of them. Only the product's
public commands are used, so the same steps do the same for a catalog and events of your own.

Each run has a topic, a consumer group and a schema of its own; `metering dev down --purge` removes them all.
"""

import os
import subprocess
import sys
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from billing import Billing
from commands import METERING, Commands, Failed, console
from counting import Counting

ROOT: Final = Path(__file__).parents[2]
HERE: Final = Path("deploy/demo")
FILES: Final = Path(".dev/demo")
KINDS: Final = ("meter", "plan", "subscription")


def main() -> int:
    """Run the demo; 0 only if every total and every count agree."""
    os.chdir(ROOT)
    FILES.mkdir(parents=True, exist_ok=True)
    began_s = time.monotonic()
    try:
        demo = Demo(f"demo_{datetime.now(UTC):%Y%m%d_%H%M%S}")
        wrong = demo.run()
    except Failed as failed:
        console.print(str(failed), markup=False)
        return 1
    except subprocess.CalledProcessError as failed:
        return failed.returncode  # the command has said why, and what to do
    if wrong:
        console.print(f"[bold red]{len(wrong):,} differences:[/]")
        console.print("\n".join(wrong), markup=False)
        return 1
    console.print(f"[bold green]Everything agrees[/], {time.monotonic() - began_s:.0f} s after the start.\n")
    demo.say_what_to_try()
    return 0


class Demo:
    """One run; `name` is that of its topic, its consumer group and its schema."""

    def __init__(self, name: str) -> None:
        self._settings = {
            "METERING_TOPIC": name,
            "METERING_TOPIC_FILE": str(HERE / "topic.yaml"),
            "METERING_CONSUMER_GROUP": name,
            "METERING_POSTGRES_SCHEMA": name,
        }
        self._commands = Commands({**os.environ, **self._settings})
        self._counting = Counting(self._commands, name, FILES)
        self._billing = Billing(self._commands, FILES)

    def run(self) -> list[str]:
        """Do every step; a line for everything that was found wrong."""
        self._commands.do("dev", "up")
        self._commands.do("migrate")
        self._commands.do("topics", "apply")
        for file in ("catalog.yaml", "prices.yaml"):
            changes = self._commands.ask("catalog", "apply", str(HERE / file))[0]["changes"]
            kinds = Counter(kind for change in changes for kind in KINDS if kind in change)
            console.print(", ".join(f"{kind}s: {count}" for kind, count in kinds.items()))
        wrong = [*self._counting.run(), *self._billing.run()]
        try:
            self._commands.do("doctor")
        except subprocess.CalledProcessError:
            wrong.append("`metering doctor` is not content: see above.")
        return wrong

    def say_what_to_try(self) -> None:
        """A few commands that work as they are printed."""
        variables = FILES / "settings.sh"
        lines = (f"export {name}={value}\n" for name, value in self._settings.items())
        variables.write_text("".join(lines))
        metering, csv = os.path.relpath(METERING), HERE / "data" / "AzureLLMInferenceTrace_code.csv"
        console.print(
            f"The stack is still up, and `make down` ends it. What to try next:\n"
            f"\n  source {variables}    # this run's topic and schema"
            f"\n  {metering} totals --group-by model --subject customer-07"
            f"\n  {metering} quarantine list"
            f"\n  {metering} rated customer-07"
            f"\n  {metering} rated customer-07 --period 2023-11-16T18:00:00Z"
            f"\n  {metering} finality"
            f"\n"
            f"\n  # What a billing engine reads: the feed of rated totals, over HTTP."
            f"\n  token=$({metering} token create me --scopes feed:read --all-customers | tail -n 1)"
            f"\n  {metering} api &"
            f'\n  curl --retry 9 --retry-connrefused -H "Authorization: Bearer $token" '
            f"'http://127.0.0.1:8600/v1/rated-totals?limit=3'"
            f"\n  kill %%"
            f"\n"
            f"\n  # The same requests once more, from the CSV file: all of them copies, and no total changes."
            f"\n  {metering} publish --csv {csv} --mapping {HERE / 'mapping-code.yaml'}"
            f"\n  {metering} worker --until-caught-up"
            f"\n  {metering} status\n",
            markup=False,
        )


if __name__ == "__main__":
    sys.exit(main())
