"""Scenario folders: columns of a site or fleet over a horizon; read, checked, written."""
