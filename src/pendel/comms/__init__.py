"""LAYER 2: protocols, sans I/O: bytes in, events and bytes out."""
