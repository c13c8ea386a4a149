"""A desk snapshot as it was written when its format was first used; run it to write a new one.

It holds some of everything that a desk can hold, so that reading it reads all.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from application.desk.desk import Desk
from application.desk.state import dump
from tests.model.audited_flow import audited

WRITTEN = Path(__file__).resolve().parent.parent / "data" / "desk_snapshot.msgpack"


@cache
def full_desk() -> Desk:
    """The first desk of a lively market that has none of its tables empty."""
    desk = Desk()
    for event in audited(1, 250).log.events():
        desk.apply(event)
        if _is_full(desk):
            return desk
    raise AssertionError("the flow fills no desk any more: take another seed")


def _is_full(desk: Desk) -> bool:
    orders, accounts, trades = desk.orders, desk.accounts, desk.trades
    tables: tuple[Any, ...] = (
        *(orders.working, orders.revisions, orders.groups, trades.busted, trades.corrected),
        any(market.stops.trailing.count for market in desk.markets.by_id.values()),
        *(desk.watchlists.dump(), desk.strategies.dump()),
    )
    return all((*tables, accounts.obligations, accounts.settlements, accounts.pool))


if __name__ == "__main__":
    WRITTEN.write_bytes(dump(full_desk()))
