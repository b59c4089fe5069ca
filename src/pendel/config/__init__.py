"""TOML to typed values: all problems at once, each with its line and what is allowed.

The configuration of a server is in `pendel.config.server`.
"""

from pendel.config.toml import TomlDocument, decode, load_toml, parse_toml

__all__ = ["TomlDocument", "decode", "load_toml", "parse_toml"]
