"""Finds the examples: inside the installed package, or beside the sources."""

from pathlib import Path

from pendel.errors import NotFoundError

_PACKAGE = Path(__file__).resolve().parents[1]


def examples_root() -> Path:
    """The folder that holds the examples. Raises NotFoundError."""
    for root in (_PACKAGE / "examples", _PACKAGE.parents[1] / "examples"):
        if root.is_dir():
            return root
    raise NotFoundError("no examples are installed")


def example_names() -> list[str]:
    """Names of the examples, sorted."""
    return sorted(path.parent.name for path in examples_root().glob("*/scenario.toml"))


def example_folder(name: str) -> Path:
    """The scenario folder of an example. Raises NotFoundError, naming those that exist."""
    folder = examples_root() / name
    if Path(name).name != name or not (folder / "scenario.toml").is_file():
        raise NotFoundError(f"no example {name!r}; there are {', '.join(example_names())}")
    return folder
