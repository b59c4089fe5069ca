"""LAYER 4: money, exact: meters, splits, ledger, statements."""
