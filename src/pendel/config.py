"""TOML to typed values, with the line of every problem."""
