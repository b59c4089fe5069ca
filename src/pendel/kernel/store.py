"""Where compiled kernels are kept, and under which name.

The name covers everything the machine code depends on: the source of all kernel files of the
package (kernels call each other), numba, llvmlite and the processor. A wrong or foreign file can
therefore not be mistaken for a right one; files of earlier sources are simply never asked for.
"""

import contextlib
import functools
import hashlib
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

FORMAT = b"pendel-kernel-1\n"
_listeners: list[Callable[[str], None]] = []


def on_compile(listener: Callable[[str], None]) -> None:
    """Call listener(kernel name) before each compilation, so that people know why they wait."""
    _listeners.append(listener)


def announce(name: str) -> None:
    """Tell the listeners that a kernel is about to be compiled."""
    for listener in _listeners:
        listener(name)


@functools.cache
def cache_folder() -> Path | None:
    """The folder for compiled kernels, or None where nothing can be written.

    PENDEL_CACHE_DIR if set; else beside the package if writable; else the user's cache folder.
    """
    package = Path(__file__).resolve().parents[1]
    user = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pendel"
    named = os.environ.get("PENDEL_CACHE_DIR")
    candidates = [Path(named)] if named else [package / "__pycache__" / "kernels", user / "kernels"]
    for folder in candidates:
        with contextlib.suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            if os.access(folder, os.W_OK | os.X_OK):
                return folder
    return None


@functools.cache
def source_stamp() -> str:
    """Digest of all kernel sources and of the compiler's and interpreter's versions."""
    digest = hashlib.sha256(FORMAT + sys.version.encode())
    package = Path(__file__).resolve().parents[1]
    for path in sorted(package.rglob("*kernels.py")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    for path in sorted((package / "kernel").glob("*.py")):
        digest.update(path.read_bytes())
    for entry in sys.path:
        for name in ("numba-*.dist-info", "llvmlite-*.dist-info"):
            for found in sorted(Path(entry or ".").glob(name)):
                digest.update(found.name.encode())
    return digest.hexdigest()


def file_of(function_source: str, name: str, signature: str, cpu: str) -> Path | None:
    """The file that holds (or will hold) the object code of one kernel and signature."""
    folder = cache_folder()
    if folder is None:
        return None
    text = "\0".join((source_stamp(), function_source, name, signature, cpu))
    return folder / f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:32]}.bin"


def read_code(path: Path) -> tuple[str, bytes] | None:
    """(symbol, object code) from a file, or None when it is absent or damaged."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    head, _, rest = data.partition(b"\n\n")
    lines = head.split(b"\n")
    if len(lines) != 3 or lines[0] + b"\n" != FORMAT:
        return None
    if hashlib.sha256(rest).hexdigest().encode() != lines[2]:
        return None
    return lines[1].decode(), rest


def write_code(path: Path, symbol: str, code: bytes) -> None:
    """Keep object code; written aside and renamed, so that no reader sees half a file."""
    check = hashlib.sha256(code).hexdigest().encode()
    with contextlib.suppress(OSError):
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.stem)
        with os.fdopen(handle, "wb") as file:
            file.write(FORMAT + symbol.encode() + b"\n" + check + b"\n\n" + code)
        os.replace(temporary, path)
