"""The same controller under a simulated clock and simulated cars."""
