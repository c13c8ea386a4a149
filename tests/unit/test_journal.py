"""The record of a run: whole records in order, and nothing that was not committed."""

from __future__ import annotations

from pathlib import Path

import msgspec

from application.commands import Envelope, ReadState, encode_command
from infrastructure.journal import CommandJournal, JournalEntry, read_journal

BODY = encode_command(ReadState())


def journal_at(path: Path, said: list[str] | None = None) -> CommandJournal:
    """A journal that says what it has to say into a list."""
    return CommandJournal(path, say=(said if said is not None else []).append)


def write(journal: CommandJournal, *numbers: int) -> None:
    """Note commands and hand them over."""
    for number in numbers:
        journal.write(number, 1_000 + number, Envelope("key:A", "http", msgspec.Raw(BODY)))
    journal.flush()


def numbers(path: Path) -> list[int]:
    """What the file holds."""
    return [entry.number for entry in read_journal(path)]


def test_records_come_back_as_they_were_written(tmp_path: Path) -> None:
    """Number, instant, who asked, through what, and the command's own bytes."""
    path = tmp_path / "commands"
    journal = journal_at(path)
    journal.begin(0)
    write(journal, 1)
    (entry,) = read_journal(path)
    assert JournalEntry(1, 1_001, "key:A", "http", BODY) == entry
    assert Envelope("key:A", "http", msgspec.Raw(BODY)) == entry.envelope
    length = int.from_bytes(path.read_bytes()[:4], "big")
    assert [1, 1_001, "key:A", "http", BODY] == msgspec.msgpack.decode(path.read_bytes()[4:])
    assert path.stat().st_size == 4 + length


def test_noted_commands_reach_the_file_with_the_flush(tmp_path: Path) -> None:
    """Nothing waits in the process for a later write."""
    path = tmp_path / "commands"
    journal = journal_at(path)
    journal.begin(0)
    journal.write(1, 1, Envelope("a", "b", msgspec.Raw(BODY)))
    assert [] == numbers(path)
    journal.flush()
    assert [1] == numbers(path)


def test_restart_goes_on_where_the_log_ends(tmp_path: Path) -> None:
    """What was decided and never committed is cut off; the rest stays."""
    path = tmp_path / "commands"
    said: list[str] = []
    first = journal_at(path, said)
    first.begin(0)
    write(first, 1, 2, 3, 5, 6)
    second = journal_at(path, said)
    second.begin(3)
    write(second, 4)
    assert [1, 2, 3, 4] == numbers(path)
    assert [] == said


def test_record_cut_short_by_a_crash_is_left_out(tmp_path: Path) -> None:
    """Whatever the last write left behind, what is before it is read and written on."""
    path = tmp_path / "commands"
    journal = journal_at(path)
    journal.begin(0)
    write(journal, 1, 2)
    whole = path.read_bytes()
    for cut in range(len(whole) // 2, len(whole)):
        path.write_bytes(whole[:cut])
        assert [1] == numbers(path)
    again = journal_at(path)
    again.begin(1)
    write(again, 2)
    assert [1, 2] == numbers(path)


def test_writer_that_was_taken_over_does_not_write_into_the_record(tmp_path: Path) -> None:
    """It wakes up and notes on: into a file that nobody reads any more."""
    path = tmp_path / "commands"
    paused = journal_at(path)
    paused.begin(0)
    write(paused, 1, 2)
    leader = journal_at(path)
    leader.begin(2)
    write(leader, 3)
    write(paused, 3, 4, 5)
    write(leader, 4)
    assert [1_003, 1_004] == [entry.at for entry in read_journal(path) if entry.number > 2]
    assert [1, 2, 3, 4] == numbers(path)


def test_commands_from_before_the_record_are_named_as_missing(tmp_path: Path) -> None:
    """A record that begins late cannot be decided again from nothing, and says so."""
    said: list[str] = []
    journal_at(tmp_path / "commands", said).begin(41)
    assert 1 == len(said)
    assert "1 to 41" in said[0]


def test_file_that_cannot_be_written_does_not_stop_the_venue(tmp_path: Path) -> None:
    """It is said once, and commands go on unrecorded."""
    said: list[str] = []
    journal = journal_at(tmp_path / "nowhere" / "commands", said)
    journal.begin(0)
    write(journal, 1, 2)
    assert 1 == len(said)
