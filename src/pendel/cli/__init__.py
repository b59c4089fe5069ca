"""The commands of pendel."""
