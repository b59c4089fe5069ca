"""Pages, plots and reports for people."""
