"""docs/concepts/scenario.md says what the tables are, column by column."""

from pathlib import Path

from pendel.scenario.tables import TABLES, Column

PAGE = Path(__file__).resolve().parents[2] / "docs" / "concepts" / "scenario.md"


def documented() -> dict[str, list[list[str]]]:
    """Cells of each table's rows, by the table's name."""
    found: dict[str, list[list[str]]] = {}
    name = ""
    for line in PAGE.read_text("utf-8").splitlines():
        if line.startswith("#"):
            name = line.removeprefix("### ").split("`")[1] if line.startswith("### `") else ""
        elif name and line.startswith("| `"):
            found.setdefault(name, []).append([c.strip() for c in line.strip("|").split("|")])
    return found


def described(column: Column) -> list[str]:
    """Name, allowed, required and default as the page writes them."""
    allowed = "with offset or `Z`" if column.kind == "time" else column.allowed
    default = ""
    if not column.required:
        number = "none" if column.default == float("inf") else f"{column.default:g}"
        default = number if column.kind == "number" else "empty"
    return [f"`{column.name}`", allowed, "yes" if column.required else "no", default]


def test_page_and_tables_agree() -> None:
    page = {
        name: [[row[0], row[2], row[3], row[4]] for row in rows]
        for name, rows in documented().items()
    }
    assert page == {table.stem: [described(c) for c in table.columns] for table in TABLES}


def test_every_column_has_unit_and_meaning() -> None:
    for name, rows in documented().items():
        assert all(len(row) == 6 and row[1] and row[5] for row in rows), name
