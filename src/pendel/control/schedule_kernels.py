"""Kernels that walk units through their windows (rows of a unit: offset[i] to offset[i + 1])."""

from pendel.kernel import kernel
from pendel.units import FloatArray, IntArray


@kernel
def tighten_backward(
    offset: IntArray, up: FloatArray, down: FloatArray, lo: FloatArray, hi: FloatArray
) -> None:
    """Tighten energy bounds [W] so that those of all later steps can still be kept.

    up, down [N]: most stored energy a unit can win or lose in one step.
    """
    for u in range(offset.shape[0] - 1):
        for row in range(offset[u + 1] - 2, offset[u] - 1, -1):
            lo[row] = max(lo[row], lo[row + 1] - up[u])
            hi[row] = min(hi[row], hi[row + 1] + down[u])


@kernel
def walk(
    offset: IntArray,
    start: FloatArray,
    up: FloatArray,
    down: FloatArray,
    gain: FloatArray,
    loss: FloatArray,
    lo: FloatArray,
    hi: FloatArray,
    power: FloatArray,
    energy: FloatArray,
) -> None:
    """Follow the powers [W] but stay inside lo, hi [W]; write power back and the energy [W].

    gain = h eta_c, loss = h / eta_d, up = gain charge_max, down = loss discharge_max [N].
    """
    for u in range(offset.shape[0] - 1):
        current = start[u]
        for row in range(offset[u], offset[u + 1]):
            p = power[row]
            change = gain[u] * p if p > 0.0 else loss[u] * p
            change = min(max(change, -down[u]), up[u])
            aim = min(max(current + change, lo[row]), hi[row])
            change = min(max(aim - current, -down[u]), up[u])
            if change > 0.0:
                power[row] = min(change / gain[u], up[u] / gain[u])
            else:
                power[row] = max(change / loss[u], -down[u] / loss[u])
            current += change
            energy[row] = current
