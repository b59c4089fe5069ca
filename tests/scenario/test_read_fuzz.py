"""Random damage to a valid folder: InputError or a scenario, never anything else."""

import random
from pathlib import Path

import pytest
from scenario_folders import small_folder, write_folder

from pendel.errors import InputError
from pendel.scenario import sources
from pendel.scenario.read import read_scenario

SPICE = [
    b"\x00",
    b"\xff",
    b'"',
    b",",
    b"\n",
    b"\r",
    b"-",
    b"e999",
    b"nan",
    b"Z",
    b"[",
    b"=",
    b"\xc3",
]


def damaged(text: bytes, rng: random.Random) -> bytes:
    raw = bytearray(text)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(raw) + 1)
        match rng.randrange(5):
            case 0:
                raw[at : at + 1] = bytes([rng.randrange(256)])
            case 1:
                raw[at:at] = rng.choice(SPICE)
            case 2:
                del raw[at : at + rng.randint(1, 30)]
            case 3:
                raw[at:at] = raw[at : at + rng.randint(1, 60)]
            case _:
                del raw[at:]
    return bytes(raw)


def attack(folder: Path, seed: int, count: int) -> int:
    """Damage one file at a time; returns how many folders were refused."""
    rng = random.Random(seed)
    files = small_folder()
    write_folder(folder, files)
    refused = 0
    for _ in range(count):
        name = rng.choice(sorted(files))
        (folder / name).write_bytes(damaged(files[name].encode(), rng))
        try:
            read_scenario(folder)
        except InputError as error:
            refused += 1
            assert error.count > 0
            assert all(problem.file and problem.problem for problem in error.problems)
        (folder / name).write_bytes(files[name].encode())
    return refused


@pytest.mark.parametrize("small_bytes", [1 << 20, 0], ids=["plain", "arrow"])
def test_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small_bytes: int) -> None:
    monkeypatch.setattr(sources, "SMALL_BYTES", small_bytes)
    refused = attack(tmp_path, small_bytes, 300)
    assert refused > 150


@pytest.mark.proof
@pytest.mark.parametrize("small_bytes", [1 << 20, 0], ids=["plain", "arrow"])
def test_much_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small_bytes: int) -> None:
    monkeypatch.setattr(sources, "SMALL_BYTES", small_bytes)
    assert attack(tmp_path, 7 + small_bytes, 10_000) > 5_000
