"""HTTP: the API, its errors and its live events."""
