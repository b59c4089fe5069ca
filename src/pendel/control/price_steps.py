"""How the price method goes from one pass to the next: the prices, the complementarity and the
blur of its next pass, from what the last one found."""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from pendel.control.blur import BLUR_SHARE
from pendel.units import FloatArray

if TYPE_CHECKING:
    from pendel.control.fleet import Fleet, Pass

STEP_FIRST, STEP_MOST = 0.05, 0.15
BLURRED_STEP_MOST = 4.0
SMOOTH_SLACK = 0.3
SMOOTH_SHARE = 0.4
STALLED, BETTER = 2, 0.8
"""In so many blurred passes the gap falls to such a share, or there is no use in going on."""
BLUR_FALL = 0.5
"""Share of a blurred pass's blur that the next one has."""


class Steps(Protocol):
    """price [F + 2, T] [scaled] and blur [scaled] of the next pass; the complementarity is the
    fleet's `aim`. polishes: whether plans are to be polished (`polish`)."""

    price: FloatArray
    blur: float
    polishes: bool

    def follow(
        self, found: "Pass", bound_eur: float, best_eur: float, cost_eur: float, final: float
    ) -> bool:
        """Set what the next pass is at; bound_eur of this one, best_eur of all, cost_eur of the
        plan so far; final: complementarity that would do for a plan of its money.
        Whether another pass is worth it."""
        ...


class NewtonSteps:
    """Newton steps on prices along the central path, as long as the bound does not fall."""

    polishes = False

    def __init__(self, fleet: "Fleet", price: FloatArray, first: float, final: float) -> None:
        """first, final: complementarity of the first pass and of the last ones."""
        self.fleet, self.price, self.final, self.blur = fleet, price, final, 0.0
        self.fleet.aim = first
        self._centre, self._change = price, 0.0 * price
        self._length, self._reach = 1.0, STEP_FIRST

    def follow(
        self, found: "Pass", bound_eur: float, best_eur: float, cost_eur: float, final: float
    ) -> bool:
        """See `Steps.follow`."""
        fleet = self.fleet
        smooth = fleet.aim * fleet.columns * fleet.scale
        if bound_eur >= best_eur - SMOOTH_SLACK * smooth:
            self._centre = self.price
            self._change = fleet.balance(found, self.price) - self.price
            size = fleet.size(found, self._change) / fleet.columns
            self._length = min(1.0, math.sqrt(self._reach / max(size, 1e-300)))
            self._reach = min(2.0 * self._reach, STEP_MOST)
            if smooth > SMOOTH_SHARE * (cost_eur - best_eur):
                fleet.aim = max(fleet.aim / 4.0, min(self.final, final))
        else:
            # The step was too long: back to where it began, and less of it.
            self._length *= 0.3
            self._reach *= 0.3
        self.price = self._centre + self._length * self._change
        return True


class BlurredSteps:
    """Where many cars are alike (`blur`): one sharp pass, whose bound is good, then blurred ones,
    which find the plan, with whole Newton steps between them."""

    polishes = True

    def __init__(
        self,
        fleet: "Fleet",
        price: FloatArray,
        final: float,
        blurred: Callable[[], FloatArray | None],
    ) -> None:
        """price: of the sharp pass; final: complementarity of all passes; blurred: makes the
        prices of the first blurred one (None: those of the sharp one)."""
        self.fleet, self.price, self.blur, self._blurred = fleet, price, 0.0, blurred
        self._left: list[float] = []
        fleet.aim = final

    def follow(
        self, found: "Pass", bound_eur: float, best_eur: float, cost_eur: float, final: float
    ) -> bool:
        """See `Steps.follow`."""
        if self.blur <= 0.0:
            price, self.blur = self._blurred(), BLUR_SHARE
            self.price = self.price if price is None else price
            return True
        change = self.fleet.balance(found, self.price) - self.price
        size = self.fleet.size(found, change) / self.fleet.columns
        length = min(1.0, math.sqrt(BLURRED_STEP_MOST / max(size, 1e-300)))
        self.price, self.blur = self.price + length * change, BLUR_FALL * self.blur
        self._left.append(cost_eur - best_eur)
        return len(self._left) <= STALLED or self._left[-1] < BETTER * self._left[-1 - STALLED]
