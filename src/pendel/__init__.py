"""pendel: Vehicle-to-Grid, from one home to a million cars.

*pendeln*: to commute and to swing. The car commutes, the energy swings.
Start reading at docs/ARCHITECTURE.md.
"""

__version__ = "0.1.0"
