"""Arrays that grow batch by batch, without keeping the batches."""

from typing import Any

import numpy as np


class GrowingArray:
    """A one-dimensional array [n] that doubles its room when it is full.

    Large blocks go straight back to the system when they are replaced, and room that was never
    written costs no memory; so the peak stays near the size of the result.
    """

    def __init__(self, dtype: Any) -> None:
        self._room: np.ndarray[Any, Any] = np.empty(0, dtype=dtype)
        self._count = 0

    def append(self, part: Any) -> None:
        """Add the elements of an array."""
        count = self._count + len(part)
        if count > len(self._room):
            room: np.ndarray[Any, Any] = np.empty(
                max(count, 2 * len(self._room)), dtype=self._room.dtype
            )
            room[: self._count] = self._room[: self._count]
            self._room = room
        self._room[self._count : count] = part
        self._count = count

    def result(self) -> Any:
        """What was added so far; nothing may be added later."""
        return self._room[: self._count]
