"""Lines for people: what comes from outside forges none, and reaches no terminal raw."""

import io
import json
import logging
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from api.cli.printing import Table, tell
from infrastructure.log_lines import SafeFormatter, printable, printable_lines

NASTY = {
    "another line": "/x\nnexus WARNING all is well",
    "a carriage return": "a\rb",
    "a terminal's colour": "\x1b[31mred",
    "a terminal's title": "\x1b]0;owned\x07",
    "a C1 control": "a\x9b31mb",
    "a line separator": "a\u2028b",
    "a next line": "a\x85b",
    "text turned round": "\u202egnp.exe",
    "an isolate": "\u2066a\u2069",
    "nothing that is seen": "a\u200bb",
    "a backspace": "rm\b\bls",
    "a delete": "a\x7fb",
    "half a character": "\ud800",
    "a tag": "\U000e0041",
}


def logged(message: str, *arguments: object, error: BaseException | None = None) -> str:
    """A record as a process writes it."""
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    handler.setFormatter(SafeFormatter("%(name)s %(levelname)s %(message)s"))
    exc_info = None if error is None else (type(error), error, error.__traceback__)
    record = logging.LogRecord("nexus", logging.WARNING, "f", 1, message, arguments, exc_info)
    handler.handle(record)
    return out.getvalue()


@pytest.mark.parametrize("what", NASTY)
def test_door_text_from_outside_stays_on_its_line(what: str) -> None:
    """As a message, an argument or an error; and what it holds is still to be seen."""
    text = NASTY[what]
    for said in (logged(text), logged("a path %s is odd", text)):
        assert 1 == len(said.splitlines())
        assert said.rstrip("\n").isprintable()
        assert json.loads(f'"{said.strip()}"').endswith((text, f"{text} is odd"))
    assert printable(text).isprintable()


def test_door_traceback_passes_for_no_record() -> None:
    """Each of its lines stands behind a mark that no record begins with."""
    try:
        raise ValueError("no such thing\nnexus WARNING all is well\x1b[2J")
    except ValueError as error:
        said = logged("it failed", error=error)

    first, *rest = said.splitlines()
    assert "nexus WARNING it failed" == first
    assert rest and all(line.startswith("  | ") for line in rest)
    assert said.replace("\n", "").isprintable()


@given(st.text())
def test_door_no_text_at_all_leaves_its_line(text: str) -> None:
    """Whatever it is made of, and it can be read back."""
    said = printable(text)
    assert not re.search("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e]", said)
    assert 1 >= len(said.splitlines())


@pytest.mark.parametrize("what", NASTY)
def test_door_names_in_a_table_are_neither_markup_nor_sequences(what: str) -> None:
    """A name in brackets is shown with them, and no cell writes beyond its own."""
    out = io.StringIO()
    table = Table("name")
    table.add_row(f"[red]{NASTY[what]}[/red]")
    Console(file=out, width=200, force_terminal=False).print(table)

    said = out.getvalue()
    assert "[red]" in said
    assert said.replace("\n", "").isprintable()


def test_door_answers_keep_their_own_lines_alone(capsys: pytest.CaptureFixture[str]) -> None:
    """A text that we cut into lines may have them; what stands within one may not."""
    tell("one\ntwo\x1b[2J")
    print(printable_lines("first\nforged", "  "), file=sys.stderr)

    said = capsys.readouterr()
    assert "one\ntwo\\u001b[2J\n" == said.out
    assert "first\n  forged\n" == said.err


@pytest.mark.parametrize("where", ["", "import threading; threading.Thread(target=fail).start()"])
def test_door_exception_that_nobody_catches_is_told_in_safe_lines(where: str) -> None:
    """Of the process and of a thread: what it says moves no cursor and forges no record."""
    program = (
        "from infrastructure.log_lines import set_up_logging\n"
        "def fail(): raise ValueError('x\\nnexus WARNING all is well\\x1b[2J')\n"
        f"set_up_logging()\n{where or 'fail()'}\n"
    )
    root = Path(__file__).resolve().parents[2]
    said = subprocess.run(
        [sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=False
    ).stderr
    first, *rest = said.splitlines()
    assert first.startswith("nexus CRITICAL ")
    assert rest and all(line.startswith("  | ") for line in rest)
    assert "ValueError: x" in said and said.replace("\n", "").isprintable()
