"""Machine code loaded without numba gives what numba and plain Python give."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

import kernel_samples as samples

from pendel.kernel import store
from pendel.kernel.elf import undefined_symbols

VALUES = np.array([0.5, -1.0, 2.25])


def test_scalars_and_arrays() -> None:
    assert samples.scaled_sum(VALUES, 3.0) == pytest.approx(5.25)
    assert samples.scaled_sum(VALUES[::2], 1.0) == pytest.approx(2.75)  # not contiguous
    assert samples.scaled_sum(np.float64(2.0) * VALUES, np.float64(1.0)) == pytest.approx(3.5)


def test_matrices_ints_and_bools() -> None:
    out = np.zeros((2, 3))
    index, mask = np.array([4, 5]), np.array([True, False])
    samples.fill_matrix(out, index, mask, np.int64(1), np.bool_(True))
    assert out.tolist() == [[41.0, 42.0, 43.0], [-1.0, -1.0, -1.0]]


def test_tuple_result_and_memory_inside() -> None:
    total, count, positive = samples.statistics(VALUES)
    assert total == pytest.approx(float(np.exp(VALUES).sum()))
    assert (count, positive) == (3, True)
    for _ in range(1000):
        samples.statistics(VALUES)


def test_kernels_call_kernels() -> None:
    assert samples.calls_another(VALUES) == pytest.approx(4.5)


def test_what_native_cannot_carry_goes_through_numba() -> None:
    assert samples.returns_array(VALUES).tolist() == [1.0, -2.0, 4.5]
    out = np.empty(3)
    samples.doubled_rows(VALUES, out)
    assert out.tolist() == [1.0, -2.0, 4.5]


def test_second_process_needs_no_numba(tmp_path: Path) -> None:
    folders = [str(Path(__file__).parent), str(Path(store.__file__).parents[2])]
    script = (
        f"import sys, numpy as np; sys.path[:0] = {folders}\n"
        "import kernel_samples as s\n"
        "print(s.statistics(np.array([1.0, 2.0])), s.calls_another(np.ones(4)))\n"
        "print('numba' in sys.modules)\n"
    )
    environment = {"PENDEL_CACHE_DIR": str(tmp_path), "PATH": "", "HOME": str(tmp_path)}

    def run() -> list[str]:
        done = subprocess.run(
            [sys.executable, "-c", script], env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    first, second = run(), run()
    assert first[0] == second[0]
    assert (first[1], second[1]) == ("True", "False")

    for file in tmp_path.glob("*.bin"):  # a damaged file is compiled anew, not run
        file.write_bytes(file.read_bytes()[:-7])
    assert run() == first


def test_undefined_symbols_of_garbage() -> None:
    assert undefined_symbols(b"no object") == []
