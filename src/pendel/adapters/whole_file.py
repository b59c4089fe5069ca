"""Files that are there whole or not at all; secrets are never readable by others."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path


def write_whole(path: Path, data: bytes, secret: bool = False) -> Path:
    """Write a file (mode 0644, secret: 0600) by replacing what was there. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with _replacing(path, 0o600 if secret else 0o644) as file:
        file.write(data)
    return path


@contextlib.contextmanager
def _replacing(path: Path, mode: int) -> Iterator["tempfile._TemporaryFileWrapper[bytes]"]:
    """A new file beside path (mode 0600 from the first byte) that takes its place at the end."""
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".new-", delete=False) as file:
        try:
            yield file
        except BaseException:
            os.unlink(file.name)
            raise
        os.fchmod(file.fileno(), mode)
        file.flush()
        os.fsync(file.fileno())
        os.replace(file.name, path)
