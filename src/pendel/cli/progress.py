"""One line of progress on stderr: drawn only on a terminal, and gone at the end."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

LINE_COLUMNS = 78
BAR_COLUMNS = 20
NAME_COLUMNS = 30
COMPILING = "first start: kernels are being compiled, later starts find them ready"


class ProgressLine:
    """A line that is drawn over itself; it stays empty where the stream is no terminal."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = sys.stderr if stream is None else stream
        self.on = self._stream.isatty()
        self._shown = ""

    def show(self, text: str) -> None:
        """Draw a text, when it is another one than before."""
        if self.on and text != self._shown:
            self._stream.write(f"\r{text[:LINE_COLUMNS]:{LINE_COLUMNS}}")
            self._stream.flush()
            self._shown = text

    def bar(self, label: str, share: float) -> None:
        """Draw a bar for work of which a share (0..1) is done."""
        filled = int(BAR_COLUMNS * max(0.0, min(1.0, share)))
        self.show(f"{label[:NAME_COLUMNS]} [{'#' * filled + '.' * (BAR_COLUMNS - filled)}]")

    def standing(self, round_number: int, objective_eur: float, bound_eur: float) -> None:
        """Show where a planner stands."""
        gap = (objective_eur - bound_eur) / max(1.0, abs(bound_eur))
        self.show(
            f"round {round_number}: {objective_eur:.6g} EUR, bound {bound_eur:.6g}, gap {gap:.1e}"
        )

    def clear(self) -> None:
        """Leave an empty line behind."""
        if self._shown:
            self._stream.write("\r" + " " * LINE_COLUMNS + "\r")
            self._stream.flush()
            self._shown = ""


@contextmanager
def progress_line(stream: TextIO | None = None) -> Iterator[ProgressLine]:
    """A line that is cleared at the end, whatever happens."""
    line = ProgressLine(stream)
    try:
        yield line
    finally:
        line.clear()


def say_when_compiling() -> None:
    """From now on, say once on stderr that kernels are being compiled, when they are."""
    from pendel.kernel import on_compile

    on_compile(_CompileNote())


class _CompileNote:
    """Says once that kernels are being compiled."""

    _said = False

    def __call__(self, name: str) -> None:
        if not _CompileNote._said:
            _CompileNote._said = True
            print(COMPILING, file=sys.stderr, flush=True)
