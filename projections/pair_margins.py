"""Pairs: instruments that hedge each other, and at which rate of margin."""

from __future__ import annotations

from uuid import UUID

import msgspec
from psycopg.rows import class_row

from domain.events import PairMarginSet
from projections.columns import BIGINT, INTEGER, UUID_
from projections.connections import Connection
from projections.projection import Column, Projection, Table, on

PAIR_MARGINS = Table(
    "pair_margins",
    (
        Column("instrument_id", UUID_),
        Column("other_id", UUID_),
        Column("set_at", BIGINT),
        Column("bps", INTEGER),
    ),
    key=("instrument_id", "other_id"),
)


class PairMargins(Projection):
    """One row a pair that was ever declared; at a rate of 0 it is none any more."""

    name = "pair_margins"
    tables = (PAIR_MARGINS,)

    def __init__(self) -> None:
        super().__init__()
        (self.pairs,) = self.changes

    @on(PairMarginSet)
    def paired(self, position: int, e: PairMarginSet) -> None:
        one, other, bps = e.pair
        row = {"instrument_id": one, "other_id": other, "set_at": e.at, "bps": bps}
        self.pairs.put((one.int, other.int), row)


class PairRow(msgspec.Struct, frozen=True, gc=False):
    """A pair, the smaller id first, the rate of what hedges in basis points, and the symbols."""

    instrument_id: UUID
    other_id: UUID
    bps: int
    set_at: int
    symbol: str = ""
    other_symbol: str = ""


async def list_pairs(conn: Connection) -> list[PairRow]:
    """All pairs, by the symbols of today."""
    async with conn.cursor(row_factory=class_row(PairRow)) as cursor:
        await cursor.execute(
            "SELECT p.instrument_id, p.other_id, p.bps, p.set_at, i.symbol,"
            " o.symbol AS other_symbol"
            " FROM pair_margins p JOIN instruments i ON i.instrument_id = p.instrument_id"
            " JOIN instruments o ON o.instrument_id = p.other_id"
            " WHERE p.bps > 0 ORDER BY i.symbol, o.symbol"
        )
        return await cursor.fetchall()
