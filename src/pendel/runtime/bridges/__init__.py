"""Bridges between each protocol and control."""
