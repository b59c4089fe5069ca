"""Lines of keys in a TOML text; tomllib gives none.

The scanner reads text that tomllib has already accepted, so it only has to tell keys, values and
tables apart and never judges. Grammar: TOML 1.0.0, https://toml.io/en/v1.0.0.
"""

from typing import TypeAlias

KeyPath: TypeAlias = tuple[str | int, ...]
"""Keys from the root on; an int counts the entries of an array (of tables)."""

_BARE_ENDS = " \t\r\n=.]#,}"


def key_lines(text: str) -> dict[KeyPath, int]:
    """Line (from 1) of every key, table header, inline key and array entry of a valid TOML text."""
    scanner = _Scanner(text)
    scanner.document()
    return scanner.lines


class _Scanner:
    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 0
        self.line = 1
        self.lines: dict[KeyPath, int] = {(): 1}
        self._table: KeyPath = ()
        self._array_counts: dict[KeyPath, int] = {}

    def document(self) -> None:
        """Expressions until the end of the text."""
        while self._skip_blank():
            if self._peek() == "[":
                self._header()
            else:
                self._pair(self._table)

    def _peek(self) -> str:
        return self.text[self.position : self.position + 1]

    def _take(self, count: int = 1) -> str:
        piece = self.text[self.position : self.position + count]
        self.position += len(piece)
        self.line += piece.count("\n")
        return piece

    def _skip_blank(self, newlines: bool = True) -> bool:
        """Skip white space, comments and newlines; False at the end of the text."""
        while char := self._peek():
            if char == "#":
                end = self.text.find("\n", self.position)
                self.position = len(self.text) if end < 0 else end
            elif char in " \t\r" or (newlines and char == "\n"):
                self._take()
            else:
                return True
        return False

    def _note(self, path: KeyPath, line: int) -> None:
        """Remember the first line of a path and of every path above it."""
        for length in range(len(path) + 1):
            self.lines.setdefault(path[:length], line)

    def _key(self) -> tuple[str, ...]:
        """A dotted key, up to and without what follows it."""
        parts: list[str] = []
        while True:
            self._skip_blank(newlines=False)
            if self._peek() in ("'", '"'):
                parts.append(self._string())
            else:
                start = self.position
                while (char := self._peek()) and char not in _BARE_ENDS:
                    self._take()
                parts.append(self.text[start : self.position])
            self._skip_blank(newlines=False)
            if self._peek() != ".":
                return tuple(parts)
            self._take()

    def _resolve(self, key: tuple[str, ...]) -> KeyPath:
        """A header's key as a path: arrays of tables on the way mean their last entry."""
        path: KeyPath = ()
        for part in key:
            path = (*path, part)
            if path in self._array_counts:
                path = (*path, self._array_counts[path] - 1)
        return path

    def _header(self) -> None:
        line = self.line
        self._take()
        array = self._peek() == "["
        if array:
            self._take()
        key = self._key()
        self._take(2 if array else 1)
        if array:
            owner = (*self._resolve(key[:-1]), key[-1])
            index = self._array_counts.get(owner, 0)
            self._array_counts[owner] = index + 1
            self._table = (*owner, index)
        else:
            self._table = self._resolve(key)
        self._note(self._table, line)

    def _pair(self, table: KeyPath) -> None:
        line = self.line
        path = (*table, *self._key())
        self._take()  # the equals sign
        self._note(path, line)
        self._value(path)

    def _value(self, path: KeyPath) -> None:
        self._skip_blank()
        char = self._peek()
        if char == "[":
            self._array(path)
        elif char == "{":
            self._inline_table(path)
        elif char in ("'", '"') and char:
            self._string()
        else:
            while (char := self._peek()) and char not in ",]}\n#":
                self._take()

    def _array(self, path: KeyPath) -> None:
        self._take()
        index = 0
        while self._skip_blank() and self._peek() != "]":
            if self._peek() == ",":
                self._take()
                continue
            self._note((*path, index), self.line)
            self._value((*path, index))
            index += 1
        self._take()

    def _inline_table(self, path: KeyPath) -> None:
        self._take()
        while self._skip_blank() and self._peek() != "}":
            if self._peek() == ",":
                self._take()
                continue
            self._pair(path)
        self._take()

    def _string(self) -> str:
        """Any of the four string forms; returns the raw text between the quotes."""
        quote = self._peek()
        mark = quote * 3 if self.text.startswith(quote * 3, self.position) else quote
        self._take(len(mark))
        start = self.position
        while self._peek() and not self.text.startswith(mark, self.position):
            self._take(2 if quote == '"' and self._peek() == "\\" else 1)
        if len(mark) == 3:
            while self.text.startswith(quote, self.position + 3):
                self._take()  # up to two quotes may stand before the closing three
        content = self.text[start : self.position]
        self._take(len(mark))
        return content
