"""Rows that follow from events and are stored with them: in the same statement, or not at all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from application.log.ports import Batch
from infrastructure.log.binary_arrays import bigints, byteas, texts, uuids


class Column(NamedTuple):
    """A column: its name, its type in PostgreSQL and how many values of it are packed."""

    name: str
    type: str
    pack: Callable[[Sequence[Any]], bytes]


class DerivedRows(NamedTuple):
    """A table of derived rows. To keep another kind, declare it here and make its table."""

    table: str
    columns: tuple[Column, ...]
    key: int
    """How many of the first columns no two rows share."""
    of: Callable[[Batch], Sequence[tuple[Any, ...]]]
    """The rows of a batch, each in the order of the columns."""

    @property
    def names(self) -> str:
        """The columns, as statements name them."""
        return ", ".join(column.name for column in self.columns)


REQUEST_KEYS = DerivedRows(
    table="request_keys",
    columns=(
        Column("account_id", "uuid", uuids),
        Column("request_key", "text", texts),
        Column("fingerprint", "bytea", byteas),
        Column("position", "bigint", bigints),
    ),
    key=2,
    of=lambda batch: batch.keys,
)

DERIVED_ROWS = (REQUEST_KEYS,)
"""Every kind, in the order in which they are stored."""
