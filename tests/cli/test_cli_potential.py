"""`pendel potential`: the quick figures, exactly as the contract writes them."""

import json
from fractions import Fraction

import pytest

from pendel.cli.main import main

SEED = ["--plugged-share", "0.7", "--energy-kwh", "20", "--usable-share", "0.5", "--power-kw", "3"]


def answer(capsys: pytest.CaptureFixture[str], *words: str) -> dict:
    assert main(["potential", *words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_the_example_of_the_contract(capsys: pytest.CaptureFixture[str]) -> None:
    got = answer(capsys, "--vehicles", "1000000", *SEED)
    assert got == {"energy_gwh": "7", "power_gw": "21/10"}
    assert answer(capsys, "--vehicles", "1000000") == got  # what is not given is assumed


def test_the_figures_that_are_quoted(capsys: pytest.CaptureFixture[str]) -> None:
    million, germany, few, some = answer(capsys)["figures"]
    assert (million["energy_gwh"], million["power_gw"]) == ("7", "21/10")
    assert round(Fraction(germany["energy_gwh"])) == 277
    assert round(Fraction(germany["power_gw"])) == 83
    assert (few["power_gw"], some["power_gw"]) == ("1", "3/2")
    for figure in (million, germany, few, some):
        assert all(a["source"] and a["meaning"] for a in figure["assumptions"])


def test_every_assumption_says_where_it_is_from(capsys: pytest.CaptureFixture[str]) -> None:
    got = answer(capsys, "--vehicles", "300", "--power-kw", "11", "--sources")
    assert got["power_gw"] == "231/100000"
    by_name = {a["name"]: a for a in got["assumptions"]}
    assert by_name["vehicles"]["source"] == by_name["power_kw"]["source"] == "given"
    assert "Wikipedia" in by_name["energy_kwh"]["source"]
    assert main(["potential", "--vehicles", "300"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("this fleet: 0.0021 GWh and 0.00063 GW\n")
    assert "300  cars in all (given)" in text
    assert "assumed: German Wikipedia" in text


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--vehicles", "-1"), ("--vehicles", "1.5"), ("--vehicles", "1e6"), ("--vehicles", "nan"),
        ("--plugged-share", "1.01"), ("--usable-share", "-0.1"), ("--energy-kwh", "inf"),
        ("--power-kw", "1/2"),
    ],
)  # fmt: skip
def test_bad_options(option: str, value: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["potential", f"{option}={value}", "--json"]) == 2
    (problem,) = json.loads(capsys.readouterr().out)["problems"]
    assert problem["field"] == option
    assert value in problem["problem"]
    assert problem["allowed"]
