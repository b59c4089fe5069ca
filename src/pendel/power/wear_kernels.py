"""Rainflow counting as a kernel: one pass over the history, a stack of turning points."""

from pendel.kernel import kernel
from pendel.units import FloatArray


@kernel
def rainflow(
    history: FloatArray, stack: FloatArray, depth_out: FloatArray, count_out: FloatArray
) -> int:
    """Count cycles of history [K] (ASTM E1049-85, 5.4.4); returns how many were written.

    stack, depth_out, count_out [K + 1] are written to. Full cycles count 1, the rest 0.5.
    """
    found = 0
    height = 0
    for i in range(len(history)):
        value = history[i]
        if (
            height >= 2
            and (value - stack[height - 1]) * (stack[height - 1] - stack[height - 2]) > 0
        ):
            stack[height - 1] = value
        elif height == 0 or value != stack[height - 1]:
            stack[height] = value
            height += 1
        while height >= 3:
            newest = abs(stack[height - 1] - stack[height - 2])
            before = abs(stack[height - 2] - stack[height - 3])
            if newest < before:
                break
            depth_out[found] = before
            if height == 3:
                count_out[found] = 0.5
                stack[0], stack[1] = stack[1], stack[2]
                height = 2
            else:
                count_out[found] = 1.0
                stack[height - 3] = stack[height - 1]
                height -= 2
            found += 1
    for i in range(height - 1):
        depth_out[found] = abs(stack[i + 1] - stack[i])
        count_out[found] = 0.5
        found += 1
    return found
