"""Tables of checks and monitors for the documentation, made from their declarations.

`python -m signloom.health.document` in the root of the repository writes them into `docs/`. A page holds a table
between the lines `<!-- checks: NAME -->` and `<!-- end of checks -->`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from signloom.files.writing import write_text
from signloom.findings import Check, checks_in
from signloom.health.checks import architecture, compatibility, run
from signloom.health.examine import DATA_CHECKS, PREDICTION_CHECKS
from signloom.train import monitor_rules, start_rules

TABLES = {
    "data": DATA_CHECKS,
    "run record": checks_in(run),
    "run predictions": PREDICTION_CHECKS,
    "compatibility": checks_in(compatibility),
    "architecture": checks_in(architecture),
    "monitors": checks_in(start_rules, monitor_rules),
}
PLACE = re.compile(r"(?<=<!-- checks: )(?P<name>[a-z ]+) -->\n.*?(?=<!-- end of checks -->)", flags=re.DOTALL)


def table(checks: Iterable[Check[Any]]) -> str:
    """Returns a Markdown table: what each check measures, and what is needed."""
    rows = [f"| `{one.id}` | {_cell(one.measures)} | {_cell(one.threshold + _repeats(one))} |" for one in checks]
    return "\n".join(["| check | what it measures | needed |", "|---|---|---|", *rows])


def documented(page: str) -> str:
    """Returns the text of a page with its tables written anew."""
    return PLACE.sub(lambda place: f"{place['name']} -->\n{table(TABLES[place['name']])}\n", page)


def _repeats(one: Check[Any]) -> str:
    times = one.in_a_row if isinstance(one, monitor_rules.Monitor) else 1
    return f"; reported after {times} faults in a row" if times > 1 else ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    for path in sorted(Path("docs").glob("*.md")):
        before = path.read_text(encoding="utf-8")
        if (after := documented(before)) != before:
            print(f"written: {write_text(path, after)}")
