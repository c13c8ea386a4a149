"""Reading a recorded day: every line is understood, or named when it cannot be."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path
from zipfile import ZipFile

import pytest

from application.rehearsal.recorded_day.lobster import (
    Kind,
    Level,
    LobsterError,
    Row,
    read_recording,
)
from domain.identifiers import iso
from domain.terms import Side
from tests.model.recorded_day import BUY, SELL, STEM, RecordedDay, save_archive

SUBMITTED = "34200.1,1,7,10,1000000,1"
ROW = "9999999999,0,1000000,10"


def test_day_is_read_as_it_was_written(tmp_path: Path) -> None:
    """Symbol, day, messages and the book after each of them; absent levels are left out."""
    day = RecordedDay(levels=2)
    first = day.submit(BUY, 10_000, 10)
    second = day.submit(SELL, 10_010, 5)
    day.reduce(first, 4)
    day.execute(SELL, 5)

    recording = read_recording(day.save(tmp_path))

    assert (recording.symbol, recording.day, recording.levels) == ("TEST", date(2012, 6, 21), 2)
    assert [(m.kind, m.order_id, m.size, m.price, m.side) for m in recording.messages] == [
        (Kind.SUBMITTED, first, 10, 1_000_000, Side.BUY),
        (Kind.SUBMITTED, second, 5, 1_001_000, Side.SELL),
        (Kind.REDUCED, first, 4, 1_000_000, Side.BUY),
        (Kind.EXECUTED, second, 5, 1_001_000, Side.SELL),
    ]
    assert recording.rows[1] == Row((Level(1_001_000, 5),), (Level(1_000_000, 10),))
    assert recording.rows[3] == Row((), (Level(1_000_000, 6),))


def test_clock_is_new_yorks_on_the_recorded_day(tmp_path: Path) -> None:
    """Half past nine in New York in June is half past one in UTC."""
    recording = read_recording(save_archive(tmp_path, 1, [SUBMITTED], [ROW]))

    assert iso(recording.instant(34_200 * 10**9)) == "2012-06-21T13:30:00.000000Z"


@pytest.mark.parametrize(
    ("text", "time_ns"),
    [
        ("34200", 34_200_000_000_000),
        ("34200.000000001", 34_200_000_000_001),
        ("43002.632812672004", 43_002_632_812_672),
        ("43002.632812671996", 43_002_632_812_672),
    ],
)
def test_noise_of_a_binary_fraction_is_rounded_away(
    tmp_path: Path, text: str, time_ns: int
) -> None:
    """Two spellings of one nanosecond are one time, or a run of executions would fall apart."""
    path = save_archive(tmp_path, 1, [SUBMITTED.replace("34200.1", text)], [ROW])

    assert read_recording(path).messages[0].time_ns == time_ns


@pytest.mark.parametrize(
    ("hidden_price", "visible_price", "tick"),
    [
        (1_000_050, 1_000_000, 100),
        (1_000_000, 1_000_050, 50),
        (1_000_000, 1_000_001, 1),
    ],
)
def test_tick_is_that_of_the_visible_prices(
    tmp_path: Path, hidden_price: int, visible_price: int, tick: int
) -> None:
    """Hidden orders trade between the ticks; they choose none."""
    messages = [f"34200.1,1,7,10,{visible_price},1", f"34200.2,5,0,1,{hidden_price},1"]
    row = f"9999999999,0,{visible_price},10"

    assert read_recording(save_archive(tmp_path, 1, messages, [row, row])).tick() == tick


def test_limit_reads_the_first_messages_only(tmp_path: Path) -> None:
    """What comes later is not even looked at."""
    path = save_archive(tmp_path, 1, [SUBMITTED, "nonsense"], [ROW, "nonsense"])

    assert len(read_recording(path, limit=1).messages) == 1


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        ("34200.2,1,8,10,1000000", "has 5 fields instead of 6"),
        ("noon,1,8,10,1000000,1", "'noon' is no time"),
        ("34200.2,9,8,10,1000000,1", "is not a message"),
        ("34200.2,1,8,ten,1000000,1", "is not a message"),
        ("34200.2,1,8,10,1000000,0", "is not a message"),
        ("34200.2,1,8,0,1000000,1", "size and price must be positive"),
        ("34200.2,1,8,10,-1,1", "size and price must be positive"),
        ("34199.9,1,8,10,1000000,1", "is earlier than the line before"),
    ],
)
def test_malformed_message_is_named_by_its_line(tmp_path: Path, bad: str, says: str) -> None:
    """Whoever made the file finds the line."""
    path = save_archive(tmp_path, 1, [SUBMITTED, bad], [ROW, ROW])

    with pytest.raises(LobsterError, match=f"message_1.csv, line 2: .*{re.escape(says)}"):
        read_recording(path)


@pytest.mark.parametrize(
    ("bad", "says"),
    [("9999999999,0,1000000", "has 3 fields instead of 4"), ("a,0,1000000,10", "invalid literal")],
)
def test_malformed_row_is_named_by_its_line(tmp_path: Path, bad: str, says: str) -> None:
    """The book's file has lines too."""
    path = save_archive(tmp_path, 1, [SUBMITTED, "34200.2,3,7,10,1000000,1"], [ROW, bad])

    with pytest.raises(LobsterError, match=f"orderbook_1.csv, line 2: .*{re.escape(says)}"):
        read_recording(path)


def test_files_of_different_length_are_refused(tmp_path: Path) -> None:
    """Every message has its row."""
    with pytest.raises(LobsterError, match="1 messages, but 2 rows"):
        read_recording(save_archive(tmp_path, 1, [SUBMITTED], [ROW, ROW]))


def test_archive_without_a_day_is_refused(tmp_path: Path) -> None:
    """Neither an archive of other things, nor what is no archive, nor what is not there."""
    other, text = tmp_path / "other.zip", tmp_path / "text.zip"
    with ZipFile(other, "w") as archive:
        archive.writestr(f"{STEM}_message_1.csv", SUBMITTED)
    text.write_text("not an archive")

    with pytest.raises(LobsterError, match="beside its orderbook"):
        read_recording(other)
    with pytest.raises(LobsterError, match="not a zip file"):
        read_recording(text)
    with pytest.raises(LobsterError, match="No such file"):
        read_recording(tmp_path / "absent.zip")
