"""LAYER 1: the physics of batteries, chargers, sites and the grid, as pure functions."""
