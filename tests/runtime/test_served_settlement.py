"""`pendel settle run` on the store of a served network: exact, contract by contract, repeatable."""

import json
import signal
import subprocess
import sys
from datetime import timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from metered_log import BEGIN, SPOTS, a_night, event, minutes, price_signal, sampled
from served_world import SERVER, TARIFF, served, spot_csv

from pendel.adapters.event_log import SqliteEventLog
from pendel.cli.main import main
from pendel.comms.ocpp.station.equipment import Car

CONFIG = """
store = "sqlite:///pendel.db"
[[site]]
site_id = "home"
timezone = "Europe/Berlin"
import_limit_kw = 17.0
export_limit_kw = 11.0
tariff = "mine.toml"
mispel_case = "A11"
[[meter]]
site_id = "home"
profile = "stations"
address = "-"
[[station]]
station_id = "CP1"
site_id = "home"
"""
CONTRACT = """
[[contract]]
party = "owner"
site_id = "home"
valid_from = 2026-03-01
shares = { owner = 0.75, aggregator = 0.25 }
"""
LATER = """
[[contract]]
party = "owner"
site_id = "home"
valid_from = 2026-03-11
tariff = "dear.toml"
"""
DRIVER = """
name = "public charging"
currency = "EUR"
timezone = "Europe/Berlin"
[[component]]
name = "energy"
kind = "flat_energy"
valid_from = 2026-01-01
ct_kwh = "40"
[[component]]
name = "fed back"
kind = "export_energy"
direction = "export"
valid_from = 2026-01-01
ct_kwh = "30"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "mine.toml").write_text(TARIFF, "utf-8")
    (tmp_path / "dear.toml").write_text(TARIFF.replace('"1"', '"2"'), "utf-8")
    (tmp_path / "driver.toml").write_text(DRIVER, "utf-8")
    (tmp_path / "server.toml").write_text(CONFIG, "utf-8")
    return tmp_path


def fill(folder: Path, records: list[Any]) -> None:
    log = SqliteEventLog(folder / "pendel.db")
    log.append(records)
    log.close()


def settled(folder: Path, capsys: pytest.CaptureFixture[str], *more: str, out: str = "out") -> Any:
    """What the command says, and the statements it wrote by party (and period)."""
    words = ["settle", "run", "--config", str(folder / "server.toml"), "--out", str(folder / out)]
    assert main([*words, "--as-of", "2026-04-02T00:00:00Z", *more, "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    path = folder / out / "statements" / "statements.json"
    data["by_party"] = {(s["party"], s["period"]): s for s in json.loads(path.read_text("utf-8"))}
    return data


def bill_of_the_night(factor: int = 1, quarters: range = range(22)) -> Fraction:
    """By hand: 2.5 kWh in each of 8 quarter hours at spot + 1 ct, 2.000125 kWh back at spot."""
    taken = sum(Fraction("2.5") * (Fraction(SPOTS[q]) / 1000 * factor + Fraction(1, 100))
                for q in quarters if q < 8)  # fmt: skip
    back = sum(Fraction("2.000125") * Fraction(SPOTS[q]) / 1000 * factor
               for q in quarters if 8 <= q < 12)  # fmt: skip
    return taken - back


def total(statement: Any) -> Fraction:
    return sum((Fraction(line["amount_eur"]) for line in statement["lines"]), Fraction(0))


def test_a_site_is_billed_from_its_stations_registers_and_market_prices(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(folder, a_night())
    data = settled(folder, capsys)
    home = data["by_party"]["home", "2026-03"]
    assert total(home) == bill_of_the_night()
    assert home["formulas"]["(3)"] == "20" and Fraction(home["formulas"]["(4)"]) == Fraction(
        "8.0005"
    )
    assert home["formulas"]["(16)"] == home["formulas"]["(4)"] and home["ruleset"].endswith("A11")
    codes = {reason["code"] for reason in home["reasons"]}
    assert home["status"] == "provisional" and codes == {"gap", "not_metering_operator"}
    assert data["refused"] == 0


def test_a_month_that_is_running_says_so(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fill(folder, a_night())
    data = settled(folder, capsys, "--as-of", "2026-03-10T06:00:00Z")
    codes = {r["code"] for r in data["by_party"]["home", "2026-03"]["reasons"]}
    assert "period_not_over" in codes


def test_shares_of_a_contract_and_what_follows_it(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One contract with shares over the whole log; a second one in the middle of the month has
    its own tariff: the month is in two parts."""
    tomorrow = [price_signal(begin=BEGIN + timedelta(days=1))]
    more = [
        event(
            seq,
            "Updated",
            minutes(24 * 60 + 15 * seq),
            sampled(120_000.0 + 1_000.0 * seq, 13_000.5),
            "T3",
        )
        for seq in range(5)
    ]
    fill(folder, [*a_night(), *tomorrow, *more])
    (folder / "server.toml").write_text(CONFIG + CONTRACT + LATER, "utf-8")
    data = settled(folder, capsys)["by_party"]
    first = "2026-03/1"
    assert total(data["owner", first]) == bill_of_the_night() * Fraction(3, 4)
    assert total(data["aggregator", first]) == bill_of_the_night() * Fraction(1, 4)
    spots = [Fraction(SPOTS[q]) for q in range(4)]
    dear = sum(spot / 1000 * 2 + Fraction(2, 100) for spot in spots)
    later = data["owner", "2026-03/11"]
    assert total(later) == dear


def test_shares_that_are_not_whole_are_refused(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(folder, a_night())
    (folder / "server.toml").write_text(CONFIG + CONTRACT.replace("0.25", "0.2"), "utf-8")
    assert main(["settle", "run", "--config", str(folder / "server.toml")]) == 2
    assert "sum to 0.95" in capsys.readouterr().err


@pytest.mark.parametrize("case", ["A1", "A2", "A3", "A10", "A11"])
def test_every_case_that_two_meters_are_enough_for(
    folder: Path, capsys: pytest.CaptureFixture[str], case: str
) -> None:
    fill(folder, a_night())
    (folder / "server.toml").write_text(CONFIG.replace("A11", case), "utf-8")
    formulas = settled(folder, capsys)["by_party"]["home", "2026-03"]["formulas"]
    drawn, fed = Fraction(20), Fraction("8.0005")
    relieved = {"A10": drawn, "A1": drawn}.get(case, fed)
    assert Fraction(formulas["(20)"]) == relieved
    assert Fraction(formulas["(20)"]) + Fraction(formulas["(21)"]) == drawn


def test_a_case_that_needs_more_meters_is_refused_by_name(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(folder, a_night())
    (folder / "server.toml").write_text(CONFIG.replace("A11", "A4"), "utf-8")
    assert main(["settle", "run", "--config", str(folder / "server.toml")]) == 2
    assert "mispel_case" in capsys.readouterr().err


def test_parts_of_a_month_sum_to_the_month(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tomorrow = [price_signal(begin=BEGIN + timedelta(days=1))]
    last = event(9, "Updated", minutes(26 * 60), sampled(120_000.0, 13_000.5), "T3")
    fill(folder, [*a_night(), *tomorrow, last])
    whole = settled(folder, capsys, out="whole")["by_party"]
    parts = settled(folder, capsys, "--split", "2026-03-11", out="parts")["by_party"]
    assert {period for _, period in parts} == {"2026-03/1", "2026-03/11"}
    both = total(parts["home", "2026-03/1"]) + total(parts["home", "2026-03/11"])
    assert both == total(whole["home", "2026-03"])


def test_drivers_see_energy_and_wear_and_pay_for_what_they_took(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(folder, a_night())
    data = settled(folder, capsys, "--driver-tariff", str(folder / "driver.toml"))
    driver = data["by_party"]["car-1", "2026-03"]
    notes = {note["name"]: note for note in driver["notes"]}
    given = Fraction("8.0005")
    assert Fraction(notes["charged"]["quantity"]) == 20
    assert Fraction(notes["discharged"]["quantity"]) == given
    stored = 20 * Fraction(95, 100) + given / Fraction(95, 100)
    assert Fraction(notes["wear"]["quantity"]) == pytest.approx(stored)
    assert Fraction(notes["wear"]["worth_eur"]) == pytest.approx(stored * Fraction(2, 100))
    assert total(driver) == 20 * Fraction(40, 100) - given * Fraction(30, 100)
    page = (folder / "out" / "statements" / "2026-03-driver-car-1.html").read_text("utf-8")
    assert "through the battery" in page


def test_refused_values_are_kept_with_their_reason(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = event(40, "Updated", minutes(20), sampled(-1.0, 5_000.0))
    fill(folder, [*a_night(), wrong])
    assert settled(folder, capsys)["refused"] == 1
    (kept,) = json.loads((folder / "out" / "refused.json").read_text("utf-8"))
    assert "negative" in kept["reason"] and kept["record_id"] == "ocpp-CP1-T1-40"


def test_a_kill_between_two_meter_values_changes_nothing(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(folder, a_night())
    head = settled(folder, capsys)["ledger"]["head"]
    (folder / "pendel.db").unlink()
    script = Path(__file__).parent / "append_and_die.py"
    process = subprocess.Popen(
        [sys.executable, str(script), str(folder / "pendel.db"), "9"],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None and process.stdout.readline() == "there\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    settled(folder, capsys, out="half")
    fill(folder, a_night()[9:])
    assert settled(folder, capsys, out="again")["ledger"]["head"] == head
    # a settlement of half the night is replaced, not added to
    corrected = settled(folder, capsys, out="half")
    assert total(corrected["by_party"]["home", "2026-03"]) == bill_of_the_night()


def test_a_served_network_is_settled_from_what_went_over_the_wire(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A car charges and gives back over OCPP 2.1; the bill is that of its registers."""
    midnight = BEGIN
    prices = [60.0] * 48
    prices[2] = 400.0
    (folder / "spot.csv").write_text(spot_csv(midnight, prices), "utf-8")
    store = SqliteEventLog(folder / "pendel.db")
    text = SERVER + '[[meter]]\nsite_id = "home"\nprofile = "stations"\naddress = "-"\n'
    world = served(folder, text, midnight, {"CP1": ("home", 11.0)}, store)
    try:
        depart = (midnight + timedelta(hours=3)).timestamp()
        world.fleet.plug("CP1", Car(60.0, 40.0, 41.0, 12.0, 11.0, 11.0, depart_s=depart))
        world.tick()
        for _ in range(12):
            world.step()
        registers = world.fleet.measured("CP1")
        assert registers is not None and registers.export_wh > 3_000.0
        assert world.runtime.state.months.sites["home"].running is not None
    finally:
        world.close()
    (folder / "server.toml").write_text(CONFIG, "utf-8")
    data = settled(folder, capsys)
    home = data["by_party"]["home", "2026-03"]
    assert float(Fraction(home["formulas"]["(4)"])) == pytest.approx(registers.export_wh / 1e3)
    assert float(Fraction(home["formulas"]["(3)"])) == pytest.approx(registers.import_wh / 1e3)
    lines = {line["component"]: Fraction(line["amount_eur"]) for line in home["lines"]}
    assert lines["feed-in"] < -Fraction(400, 1000) * 3


def test_explain_leads_from_a_line_to_the_messages_of_the_station(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(folder, a_night())
    line = settled(folder, capsys)["by_party"]["home", "2026-03"]["lines"][0]["id"]
    words = ["explain", line, "--config", str(folder / "server.toml"), "--json"]
    assert main([*words, "--statements", str(folder / "out")]) == 0
    data = json.loads(capsys.readouterr().out)
    assert all(series["in_store"] for series in data["series"])
    assert data["deliveries"][:2] == ["ocpp-CP1-T1-1", "ocpp-CP1-T1-2"]
    assert data["causes"][0]["kind"] == "station_message"
