"""The tables of checks in the documentation are those of the declarations."""

from pathlib import Path

import pytest

from signloom.health.document import PLACE, TABLES, documented

DOCS = Path(__file__).resolve().parents[1] / "docs"


@pytest.mark.parametrize("name", ["health.md", "training.md"])
def test_tables_of_checks_are_up_to_date(name):
    page = (DOCS / name).read_text(encoding="utf-8")
    assert documented(page) == page, "run 'python -m signloom.health.document'"


def test_every_check_stands_in_one_table_of_one_page():
    pages = "".join(page.read_text(encoding="utf-8") for page in DOCS.glob("*.md"))
    # Other tables may have a row of the same name.
    tables = "".join(place[0] for place in PLACE.finditer(pages))
    ids = [check.id for checks in TABLES.values() for check in checks]
    assert len(ids) == len(set(ids))
    assert [name for name in ids if tables.count(f"\n| `{name}` |") != 1] == []


def test_every_declaration_says_what_is_measured_and_needed():
    checks = [check for checks in TABLES.values() for check in checks]
    assert [check.id for check in checks if not (check.measures and check.threshold and check.source)] == []


def test_a_table_that_differs_is_written_anew():
    page = "before\n<!-- checks: data -->\n| old |\n<!-- end of checks -->\nafter\n"
    new = documented(page)
    table = "| check | what it measures | needed |\n|---|---|---|\n| `data."
    assert new.startswith(f"before\n<!-- checks: data -->\n{table}")
    assert new.endswith("|\n<!-- end of checks -->\nafter\n")
