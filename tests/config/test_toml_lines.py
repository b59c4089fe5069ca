"""Lines of keys in TOML, problems of every kind, and ranges in words."""

import tomllib
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pendel.config import decode, load_toml, parse_toml
from pendel.config.lines import key_lines
from pendel.config.toml import SECRET
from pendel.errors import InputError

TEXT = '''# a comment = 1
title = "x # y"
long = """
fake = 1
[fake]
"""
raw = \'\'\'
it''s = "here"\'\'\'
"quoted key" = 1
a.b.c = 2

[http] # comment
port = 1
[http.inner]
deep = { x = 1, y = [1, { z = 2 }] }

[[site]]
site_id = "a"
list = [ # comment ]
  1,
  "two ] }",
  3,
]
[site.permit]
reference = "r"
[[site]]
site_id = "b"
[[site.meter]]
address = 1
[[site.meter]]
address = 2
[site.meter.more]
x = 1979-05-27T07:32:00Z
'''

LINES = {
    ("title",): 2,
    ("long",): 3,
    ("raw",): 7,
    ("quoted key",): 9,
    ("a",): 10,
    ("a", "b", "c"): 10,
    ("http",): 12,
    ("http", "port"): 13,
    ("http", "inner"): 14,
    ("http", "inner", "deep", "x"): 15,
    ("http", "inner", "deep", "y", 1, "z"): 15,
    ("site", 0): 17,
    ("site", 0, "list"): 19,
    ("site", 0, "list", 1): 21,
    ("site", 0, "permit"): 24,
    ("site", 0, "permit", "reference"): 25,
    ("site", 1): 26,
    ("site", 1, "meter", 0, "address"): 29,
    ("site", 1, "meter", 1): 30,
    ("site", 1, "meter", 1, "more", "x"): 33,
}


def test_lines_of_every_form() -> None:
    found = key_lines(TEXT)
    assert {path: found.get(path) for path in LINES} == LINES


def paths(data: object, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    found = [path]
    if isinstance(data, dict):
        for key, value in data.items():
            found += paths(value, (*path, key))
    if isinstance(data, list):
        for index, value in enumerate(data):
            found += paths(value, (*path, index))
    return found


KEYS = st.sampled_from(["a", "b", "key-1", '"with space"', "'lit.eral'", '"esc\\\\"'])
SCALARS = st.sampled_from(
    [
        "1",
        "-2.5",
        "true",
        '"text"',
        "'lit # [x]'",
        '"""two\nlines"""',
        "'''x\ny'''",
        "inf",
        "2025-01-01",
        "2025-01-01T00:00:00Z",
        '"a \\" b"',
        '"""q""" # c',
        '""""quoted""""',
    ]
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda v: "[" + ",\n ".join(v) + "]"),
        st.lists(inner.filter(lambda v: "\n" not in v), max_size=2).map(
            lambda v: "{" + ", ".join(f"k{i} = {x}" for i, x in enumerate(v)) + "}"
        ),
    ),
    max_leaves=5,
)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("pair"), KEYS, VALUES),
            st.tuples(st.sampled_from(["table", "array"]), KEYS, KEYS),
            st.tuples(st.just("comment"), st.just("# x = ["), st.just("")),
        ),
        max_size=12,
    )
)
def test_every_path_has_its_line(parts: list[tuple[str, str, str]]) -> None:
    """Whatever tomllib accepts: every path of the data has a line, and that line has its key."""
    written = []
    for kind, first, second in parts:
        forms = {"pair": f"{first} = {second}", "table": f"[{first}.{second}]"}
        forms |= {"array": f"[[{first}]]", "comment": first}
        written.append(forms[kind])
    text = "\n".join(written) + "\n"
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    lines = text.split("\n")
    found = key_lines(text)
    for path in paths(data):
        raw = tuple(p.replace("\\", "\\\\") if isinstance(p, str) else p for p in path)
        line = found.get(path) or found.get(raw)
        assert line is not None, (path, text)
        key = raw[-1] if raw else ""
        if isinstance(key, str):
            assert key in lines[line - 1], (path, text)


class Inner(msgspec.Struct):
    reference: str
    begin: date | None = None


class Sample(msgspec.Struct):
    name: Annotated[str, msgspec.Meta(min_length=1)]
    power_kw: Annotated[float, msgspec.Meta(ge=0.0, le=50.0)] = 1.0
    share: Annotated[float, msgspec.Meta(gt=0.0, lt=1.0)] = 0.5
    count: Annotated[int, msgspec.Meta(ge=1)] = 1
    on: bool = False
    when: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    mode: Literal["x", "y"] = "x"
    inner: Inner | None = None
    several: Annotated[list[Inner], msgspec.Meta(max_length=2)] = []
    words: list[str] = []
    secret: Annotated[str, msgspec.Meta(pattern="^ok$", extra=SECRET)] = "ok"


GOOD = """name = "n"
power_kw = 3
when = 2025-01-01T00:00:00+01:00
words = ["a", "b"]
[inner]
reference = "r"
begin = 2025-01-01
[[several]]
reference = "s"
"""


def test_good() -> None:
    value, problems = decode(parse_toml(GOOD, "c.toml"), Sample)
    assert problems == []
    assert value is not None
    assert (value.power_kw, value.words, value.several[0].reference) == (3.0, ["a", "b"], "s")
    assert value.inner is not None
    assert value.inner.begin == date(2025, 1, 1)


BAD = {
    "power_kw = 51": ("c.toml:2: power_kw: 51 is not allowed (a number from 0 to 50)"),
    'power_kw = "3"': 'c.toml:2: power_kw: is a text: "3" (a number from 0 to 50)',
    "power_kw = nan": "c.toml:2: power_kw: nan is not finite (a number from 0 to 50)",
    "power_kw = true": "c.toml:2: power_kw: is a boolean: True (a number from 0 to 50)",
    "share = 0": "c.toml:2: share: 0 is not allowed (a number above 0 below 1)",
    "count = 1.5": "c.toml:2: count: is a number: 1.5 (a whole number from 1)",
    "on = 1": "c.toml:2: on: is a whole number: 1 (true or false)",
    "when = 2025-01-01T00:00:00": (
        "c.toml:2: when: time without offset: 2025-01-01 00:00:00 "
        "(a time with offset, such as 2025-03-03T11:00:00Z)"
    ),
    "when = 2025-01-01": (
        "c.toml:2: when: is a date or time: 2025-01-01 "
        "(a time with offset, such as 2025-03-03T11:00:00Z)"
    ),
    'mode = "z"': 'c.toml:2: mode: "z" is not allowed (one of x, y)',
    "power = 3": "c.toml:2: power: unknown key (did you mean power_kw?)",
    "inner = 3": "c.toml:2: inner: is a whole number (a table)",
    "inner = {}": "c.toml:2: inner.reference: required key is missing (a text)",
    "several = {}": "c.toml:2: several: is a table (an array)",
    "several = [{}, {}, {}]": "c.toml:2: several: has 3 entries (at most 2)",
    "words = ['a', 2]": "c.toml:2: words[1]: is a whole number: 2 (a text)",
    'secret = "hunter2"': "c.toml:2: secret: has a wrong form (a text matching ^ok$)",
}


@pytest.mark.parametrize("text", BAD)
def test_bad(text: str) -> None:
    value, problems = decode(parse_toml(f'name = "n"\n{text}\n', "c.toml"), Sample)
    assert value is None
    assert [str(problem) for problem in problems] == [BAD[text]]


def test_all_problems_at_once_by_line() -> None:
    text = 'power_kw = -1\nfoo = 1\n[inner]\nbegin = 3\n[[several]]\nreference = "x"\n[[several]]\n'
    _, problems = decode(parse_toml(text, "c.toml"), Sample)
    assert [(p.line, p.field) for p in problems] == [
        (1, "name"),
        (1, "power_kw"),
        (2, "foo"),
        (3, "inner.reference"),
        (4, "inner.begin"),
        (7, "several[1].reference"),
    ]


@pytest.mark.parametrize(
    ("text", "line"),
    [("a = ", 1), ("a = 1\nb = [1,", 2), ("a = 1\r\na = 2\r\n", 2), ("x\n", 1), ("[a]\n[a]\n", 2)],
)
def test_syntax_errors_have_lines(text: str, line: int) -> None:
    with pytest.raises(InputError) as caught:
        parse_toml(text, "c.toml")
    [problem] = caught.value.problems
    assert (problem.file, problem.line) == ("c.toml", line)
    assert "not valid TOML" in problem.problem


def test_deep_nesting_is_a_problem() -> None:
    with pytest.raises(InputError):
        parse_toml("a = " + "[" * 100_000, "c.toml")


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    folder = tmp_path
    (folder / "latin.toml").write_bytes(b'a = 1\nname = "\xe4"\n')
    (folder / "folder.toml").mkdir()
    lines = {}
    for name in ("latin.toml", "folder.toml", "absent.toml"):
        with pytest.raises(InputError) as caught:
            load_toml(folder / name)
        lines[name] = caught.value.problems[0].line
    assert lines == {"latin.toml": 2, "folder.toml": 0, "absent.toml": 0}
