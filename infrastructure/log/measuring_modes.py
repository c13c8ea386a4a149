"""What benchmarks of a move set up by hand: two stores that name each other."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import sql

from infrastructure.log.stores import StoreAddress, Writes

_SAY = """
INSERT INTO {}.writer_epoch (partition, epoch, holder, backend_pid, taken_at, renewed_at,
                             writes, peer_schema)
VALUES (0, 0, '', 0, now(), '-infinity', %(writes)s, %(peer)s)
ON CONFLICT (partition) DO UPDATE SET writes = excluded.writes, peer_schema = excluded.peer_schema,
       generation = writer_epoch.generation + 1
"""


def name_each_other(
    conn: psycopg.Connection[Any], truth: StoreAddress, follower: StoreAddress, writes: Writes
) -> None:
    """Let two empty stores of one database be a truth, written so, and its follower."""
    for store, mode, peer in ((follower, Writes.FED, truth), (truth, writes, follower)):
        conn.execute(
            sql.SQL(_SAY).format(sql.Identifier(store.schema)),
            {"writes": mode.value, "peer": peer.schema},
        )
