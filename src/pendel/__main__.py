"""`python -m pendel` is the `pendel` command."""

from pendel.cli.main import main

if __name__ == "__main__":
    raise SystemExit(main())
