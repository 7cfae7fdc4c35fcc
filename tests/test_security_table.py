"""The table of docs/security.md: every row names tests, and every test that any document names by file and name is there."""

import ast
import re
from collections.abc import Iterator

from tests.conftest import ROOT

NAMED = re.compile(r"`(?:tests/)?([\w/]+\.py)::(\w+)`")
TABLE = re.compile(r"^## A hostile client$(.*?)^## ", re.MULTILINE | re.DOTALL)


def rows() -> Iterator[list[str]]:
    """Cells of the table, without its heads."""
    found = TABLE.search((ROOT / "docs" / "security.md").read_text())
    assert found
    for line in found[1].splitlines():
        if line.startswith("| ") and not line.startswith("| tries |"):
            yield [cell.strip() for cell in line.strip("|").split(" | ")]


def there(file: str, name: str) -> bool:
    """Whether pytest would run it."""
    path = ROOT / "tests" / file
    if not path.is_file():
        return False
    made = ast.parse(path.read_text()).body
    return name.startswith("test_") and name in {
        each.name for each in made if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)
    }


def test_what_a_hostile_client_tries_is_tried_by_a_test() -> None:
    found = list(rows())
    assert len(found) > 40
    assert not [cells for cells in found if len(cells) != 3 or not NAMED.search(cells[2])]


def test_every_test_that_a_document_names_is_there() -> None:
    named = {match for path in (ROOT / "docs").glob("*.md") for match in NAMED.findall(path.read_text())}
    assert len(named) > 40
    assert not [f"{file}::{name}" for file, name in sorted(named) if not there(file, name)]
