"""Option contracts: the instruments that are options, with what they are on beside them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

import msgspec
from psycopg.rows import class_row

from domain.option_terms import TAIL
from domain.terms import Phase
from projections.connections import Connection
from projections.instruments import named_by
from projections.pieces import rows_of

_EXPIRED = int(Phase.EXPIRED)


class ContractRow(msgspec.Struct, frozen=True, gc=False):
    """One option; `strike` on the wire's scale, `expiry` as 20261218."""

    instrument_id: UUID
    symbol: str
    name: str
    phase: int
    underlying_id: UUID
    underlying_symbol: str
    right_code: int
    style: int
    strike: int
    expiry: int
    multiplier: int

    @property
    def root(self) -> str:
        """What its symbol begins with."""
        return self.symbol[:-TAIL]


class Contracts(NamedTuple):
    """Which contracts are asked for: all where nothing is said; bounds are included."""

    underlyings: Sequence[str] | None = None
    active: bool | None = None
    first_day: int = 0
    last_day: int = 99_991_231
    root: str | None = None
    right: int | None = None
    style: int | None = None
    least_strike: int = 0
    most_strike: int = 2**63 - 1


_SELECT = """
SELECT o.instrument_id, o.symbol, o.name, o.phase, o.underlying_id, u.symbol AS underlying_symbol,
       o.right_code, o.style, o.strike, o.expiry, o.multiplier
  FROM instruments o JOIN instruments u ON u.instrument_id = o.underlying_id
"""
_PAGE = f"""
{_SELECT}
 WHERE (%(underlyings)s::text[] IS NULL OR o.underlying_id IN {named_by("ANY(%(underlyings)s)")})
   AND (%(active)s::boolean IS NULL OR (o.phase <> {_EXPIRED}) = %(active)s)
   AND o.expiry BETWEEN %(first_day)s AND %(last_day)s
   AND o.strike BETWEEN %(least_strike)s AND %(most_strike)s
   AND (%(root)s::text IS NULL OR left(o.symbol, -{TAIL}) = %(root)s)
   AND (%(right)s::int IS NULL OR o.right_code = %(right)s)
   AND (%(style)s::int IS NULL OR o.style = %(style)s)
   AND (%(behind)s::text IS NULL OR o.symbol COLLATE "C" > %(behind)s COLLATE "C")
 ORDER BY o.symbol COLLATE "C" LIMIT %(limit)s
"""


async def list_contracts(
    conn: Connection, wanted: Contracts, *, behind: str | None, limit: int
) -> list[ContractRow]:
    """Contracts by symbol: those `behind` one of them."""
    arguments = {**wanted._asdict(), "behind": behind, "limit": limit}
    if wanted.underlyings is not None:
        arguments["underlyings"] = list(wanted.underlyings)
    async with conn.cursor(row_factory=class_row(ContractRow)) as cursor:
        return await rows_of(await cursor.execute(_PAGE, arguments))


async def get_contract(conn: Connection, symbol_or_id: str | UUID) -> ContractRow | None:
    """One contract by a symbol that leads to it, or by its id; None for what is no option."""
    which = "%s" if isinstance(symbol_or_id, UUID) else named_by("%s")
    async with conn.cursor(row_factory=class_row(ContractRow)) as cursor:
        await cursor.execute(f"{_SELECT} WHERE o.instrument_id = {which}", (symbol_or_id,))
        return await cursor.fetchone()
