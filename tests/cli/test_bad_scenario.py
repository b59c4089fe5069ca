"""A broken scenario at the command line: exit 2, every problem on stderr and as JSON."""

import json
from pathlib import Path

import pytest

from pendel.cli.main import main

FILES = {
    "scenario.toml": (
        'name = "x"\ntimezone = "UTC"\nstart = 2025-03-03T11:00:00Z\nsteps = 4\nstep_minutes = 15\n'
    ),
    "sites.csv": "site_id,import_limit_kw,export_limit_kw\na,-17,11\n",
    "prices.csv": "time_utc,import_eur_kwh,export_eur_kwh\n2025-03-03T11:00:00,30,0\n",
}


@pytest.mark.parametrize("command", [["plan"], ["simulate", "--strategy", "v1g"]])
def test_every_problem_is_told(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    out = tmp_path / "out"
    assert main([command[0], str(tmp_path), *command[1:], "--out", str(out), "--json"]) == 2
    captured = capsys.readouterr()
    result = json.loads(captured.out)
    assert [(p["file"], p["line"], p["field"]) for p in result["problems"]] == [
        ("sites.csv", 2, "import_limit_kw"),
        ("prices.csv", 2, "time_utc"),
        ("prices.csv", 2, "import_eur_kwh"),
    ]
    assert set(result["problems"][0]) == {"file", "line", "field", "problem", "allowed"}
    assert (
        "sites.csv:2: import_limit_kw: -17 is out of range (0 to 5000)" in captured.err.splitlines()
    )
    assert not out.exists()
