"""Plausible fleets of any size, made from packaged tables and a seed."""
