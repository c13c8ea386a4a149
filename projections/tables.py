"""The tables of views as the database has them: counted, compared, renamed, dropped."""

from __future__ import annotations

from psycopg import sql

from projections.connections import Connection


async def checksum(conn: Connection, name: str) -> tuple[int, int]:
    """Number of rows, and a sum over all of them that no order of rows changes."""
    cursor = await conn.execute(
        sql.SQL(
            "SELECT count(*), COALESCE(sum(hash_record_extended(ROW(t.*), 0)::numeric), 0)"
            " FROM {} AS t"
        ).format(sql.Identifier(name))
    )
    row = await cursor.fetchone()
    assert row is not None
    return int(row[0]), int(row[1])


async def exists(conn: Connection, name: str) -> bool:
    """Whether there is such a table."""
    row = await (await conn.execute("SELECT to_regclass(%s)", (name,))).fetchone()
    return row is not None and row[0] is not None


async def drop_table(conn: Connection, name: str) -> None:
    """Drop a table that may be there."""
    await conn.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(sql.Identifier(name)))


async def rename(conn: Connection, old: str, new: str) -> None:
    """Rename a table and its indexes, whose names begin with the table's."""
    cursor = await conn.execute(
        "SELECT indexname FROM pg_indexes WHERE schemaname = current_schema() AND tablename = %s",
        (old,),
    )
    for (index,) in await cursor.fetchall():
        await conn.execute(
            sql.SQL("ALTER INDEX {} RENAME TO {}").format(
                sql.Identifier(index), sql.Identifier(new + index.removeprefix(old))
            )
        )
    await conn.execute(
        sql.SQL("ALTER TABLE {} RENAME TO {}").format(sql.Identifier(old), sql.Identifier(new))
    )
