"""Wiring: the tick, supervision, replay, explanation."""
