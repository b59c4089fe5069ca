"""Random damage to a valid folder: InputError or a scenario, never anything else; and the plain
and the streamed way of reading agree."""

import random
from pathlib import Path

import pytest
from scenario_folders import same, small_folder, write_folder

from pendel.errors import InputError
from pendel.scenario import sources
from pendel.scenario.columns import Scenario
from pendel.scenario.read import read_scenario

SPICE = b'\x00 \xff " , \n \r - e999 nan Z [ = \xc3 T'.split(b" ")


def damaged(text: bytes, rng: random.Random) -> bytes:
    raw = bytearray(text)
    for _ in range(rng.choice([1, 1, 1, 2, 4])):
        at = rng.randrange(len(raw) + 1)
        match rng.randrange(8):
            case 0:
                raw[at : at + 1] = bytes([rng.randrange(256)])
            case 1:
                raw[at:at] = rng.choice(SPICE)
            case 2:
                del raw[at : at + rng.randint(1, 30)]
            case 3:
                raw[at:at] = raw[at : at + rng.randint(1, 60)]
            case 4:
                del raw[at:]
            case _:
                digits = [i for i, byte in enumerate(raw) if chr(byte).isdigit()]
                if digits:
                    raw[rng.choice(digits)] = ord(rng.choice("0123456789"))
    return bytes(raw)


def outcome(folder: Path) -> Scenario | list[tuple[str, int, str]]:
    """The scenario, or the places of all problems."""
    try:
        return read_scenario(folder)
    except InputError as error:
        assert error.count == len(error.problems) > 0
        assert all(problem.file and problem.problem for problem in error.problems)
        return sorted((p.file, p.line, p.field) for p in error.problems)


def attack(folder: Path, seed: int, count: int, patch: pytest.MonkeyPatch) -> tuple[int, int]:
    """Damage one file at a time; returns how many folders were taken and refused."""
    rng = random.Random(seed)
    files = small_folder()
    write_folder(folder, files)
    taken = 0
    for _ in range(count):
        name = rng.choice(sorted(files))
        raw = damaged(files[name].encode(), rng)
        (folder / name).write_bytes(raw)
        patch.setattr(sources, "SMALL_BYTES", 1 << 20)
        plain = outcome(folder)
        patch.setattr(sources, "SMALL_BYTES", 0)
        streamed = outcome(folder)
        assert same(plain, streamed), (name, raw)
        taken += isinstance(plain, Scenario)
        (folder / name).write_bytes(files[name].encode())
    return taken, count - taken


def test_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    taken, refused = attack(tmp_path, 1, 250, monkeypatch)
    assert taken > 20
    assert refused > 100


@pytest.mark.proof
def test_much_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    taken, refused = attack(tmp_path, 2, 10_000, monkeypatch)
    assert taken > 800
    assert refused > 4_000
