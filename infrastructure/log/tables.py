"""Every table of a store, and how it comes along when the store moves.

A table that is in no list would be left behind without a word: a test migrates a schema and looks.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from infrastructure.log.derived import REQUEST_KEYS
from infrastructure.log.statements import EVENT_TABLE, STORED_COLUMNS


class LogTable(NamedTuple):
    """A table whose rows belong to positions of the log, and are copied by them."""

    name: str
    columns: tuple[str, ...]
    position: str
    """The column that says to which position a row belongs."""


class BesideTable(NamedTuple):
    """A table that stands beside the log: rows may change and go, and it is compared by groups."""

    name: str
    columns: tuple[str, ...]
    key: tuple[str, ...]
    """The columns that tell rows apart."""
    groups: tuple[str, ...] = ()
    """Expressions over the key that cut a large table into parts; none: it is compared whole."""
    compared: str = ""
    """What of a row is looked at, where reading it whole costs much and says no more."""
    identity: str = ""
    """The column that the server numbers."""
    held: bool = True
    """Whether a switch waits for who changes it, and copies what was changed before."""


EVENTS = LogTable(EVENT_TABLE, tuple(STORED_COLUMNS), "notification_id")
KEYS = LogTable(
    REQUEST_KEYS.table, tuple(column.name for column in REQUEST_KEYS.columns), "position"
)
BY_POSITION = (EVENTS, KEYS)

API_KEYS = BesideTable(
    "api_keys",
    (
        *("key_id", "secret_sha256", "account_id", "role", "created_at", "revoked_at"),
        *("scopes", "label", "expires_at", "version", "position"),
    ),
    key=("key_id",),
)
SUBJECTS = BesideTable(
    "subjects",
    ("subject", "key", "name_sha256", "created_at", "forgotten_at"),
    key=("subject",),
)
QUARANTINE = BesideTable(
    "quarantined_commands",
    ("correlation_id", "at", "actor", "gateway", "command", "error"),
    key=("correlation_id",),
)
FIX_SESSIONS = BesideTable(
    "fix_sessions",
    (
        *("id", "sender", "target", "epoch", "life", "next_in", "next_out", "reserved"),
        *("arrived", "told", "began", "opened_at", "saved_at"),
    ),
    key=("id",),
    identity="id",
)
FIX_MESSAGES = BesideTable(
    "fix_messages",
    ("session_id", "life", "seq_num", "position", "part", "checksum", "poss_resend"),
    key=("session_id", "life", "seq_num"),
    groups=("session_id", "life", "seq_num / 10000"),
)
SNAPSHOTS = BesideTable(
    "snapshots",
    ("originator_id", "originator_version", "topic", "state"),
    key=("originator_id", "originator_version"),
    groups=("originator_id", "originator_version / 50000"),
    held=False,
)
DESK_SNAPSHOTS = BesideTable(
    "desk_snapshots",
    ("position", "part", "taken_at", "format", "state_hash", "state"),
    key=("position", "part"),
    groups=("position",),
    # Some megabytes a row, which the hash beside them stands for.
    compared="position, part, taken_at, format, state_hash, octet_length(state)",
    held=False,
)
BESIDE = (API_KEYS, SUBJECTS, QUARANTINE, FIX_SESSIONS, FIX_MESSAGES, SNAPSHOTS, DESK_SNAPSHOTS)

OF_CHUNKS = ("stream_heads", "log_head", "log_marks", "undone_trades")
"""What a chunked store keeps for its events; copied by position where the target has it too."""

SUMS = ("symbol_days", "topic_days", "kind_days")
"""What a chunked store sums up by day; of TimescaleDB these are views that it keeps itself."""

OF_THE_STORE = (
    *("schema_migrations", "writer_epoch", "copied_ranges"),
    *("store_moves", "store_move_history", "store_verification", "store_differences"),
)
"""What says of a store what it is and how far it has come: each has its own."""

OF_VIEWS = ("projection_tracking", "projection_errors")
"""What a projector keeps beside the tables of its views: each store has its own projector."""


class Rights(NamedTuple):
    """What each role of the store may do with a table; the owner may do everything."""

    writer: str = "SELECT"
    gateway: str = "SELECT"
    fix: str = "SELECT"
    feed: str = "SELECT"
    projector: str = "SELECT"


_APPENDED = Rights(writer="SELECT, INSERT")
_OF_MOVES = Rights("", "", "", "", "")
_OF_FIX = Rights(writer="", fix="SELECT, INSERT, UPDATE, DELETE", feed="", projector="")

RIGHTS: dict[str, Rights] = {
    EVENT_TABLE: _APPENDED,
    REQUEST_KEYS.table: _APPENDED,
    "log_marks": _APPENDED,
    "undone_trades": _APPENDED,
    # What an append compares and moves on, and who may append.
    "stream_heads": Rights(writer="SELECT, INSERT, UPDATE"),
    "log_head": Rights(writer="SELECT, UPDATE"),
    "writer_epoch": Rights(writer="SELECT, INSERT, UPDATE"),
    "snapshots": _APPENDED,
    "desk_snapshots": Rights(writer="SELECT, INSERT, DELETE"),
    "quarantined_commands": _APPENDED,
    "api_keys": Rights(writer="SELECT, INSERT, UPDATE", feed="", projector=""),
    # A name is sealed where it comes in, and forgotten with the event that says so.
    "subjects": Rights("SELECT, UPDATE", "SELECT, INSERT", "", "", ""),
    "fix_sessions": _OF_FIX,
    "fix_messages": _OF_FIX,
    **dict.fromkeys(SUMS, Rights()),
    "schema_migrations": Rights(),
    "copied_ranges": Rights(),
    "store_moves": _OF_MOVES,
    "store_move_history": _OF_MOVES,
    "store_verification": _OF_MOVES,
    "store_differences": _OF_MOVES,
}
"""Of every table that is not a view's: a table without a line here is a projector's, who makes
those of views, and a test finds it.
"""


def by_list() -> Iterator[tuple[str, str]]:
    """Every table that is named here, and in which list."""
    lists = {
        "by position": [table.name for table in BY_POSITION],
        "beside": [table.name for table in BESIDE],
        "of chunks": OF_CHUNKS,
        "sums": SUMS,
        "of the store": OF_THE_STORE,
        "of views": OF_VIEWS,
    }
    for name, tables in lists.items():
        for table in tables:
            yield table, name
