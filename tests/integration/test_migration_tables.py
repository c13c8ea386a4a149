"""No table of a store is left behind when it moves: each is in a list of how it comes along."""

from __future__ import annotations

import asyncio
import uuid
from collections import Counter

import psycopg
import pytest
from psycopg import sql

from infrastructure.log.layouts import Layout
from infrastructure.log.tables import BESIDE, BY_POSITION, by_list
from migrations.runner import migrate
from projections import tracking
from projections.views import all_views
from tests.conftest import CHUNKED, Schema, dsn_of
from tests.model.projecting import connector

LAYOUTS = (Layout.PLAIN, *CHUNKED)


async def make_views(dsn: str, schema: str) -> None:
    """The tables of every view, as a projector makes them."""
    conn = await connector(Schema(dsn, schema))()
    async with conn:
        await tracking.prepare(conn, all_views())


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_table_of_a_store_is_in_exactly_one_list(
    request: pytest.FixtureRequest, layout: Layout
) -> None:
    """Those of views belong to the projector of each store; a part of a table comes with it."""
    dsn, schema = dsn_of(request, layout), f"tables_{uuid.uuid4().hex[:10]}"
    migrate(dsn, schema, layout=layout)
    try:
        asyncio.run(make_views(dsn, schema))
        with psycopg.connect(dsn, autocommit=True) as conn:
            found = conn.execute(
                "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
                " WHERE n.nspname = %s AND c.relkind IN ('r', 'p') AND NOT c.relispartition",
                (schema,),
            ).fetchall()
    finally:
        with psycopg.connect(dsn, autocommit=True) as conn:
            conn.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(schema)))
    views = {f"view_{table.name}_v{view.version}" for view in all_views() for table in view.tables}
    tables = {name for (name,) in found}
    listed = Counter(name for name, _ in by_list())

    assert views <= tables
    assert [] == sorted(tables - views - listed.keys())
    assert [] == [name for name, times in listed.items() if times > 1]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_column_of_what_is_copied_is_named(
    request: pytest.FixtureRequest, layout: Layout
) -> None:
    """A column that somebody adds is copied, or this fails; so is the key that rows are told by."""
    dsn, schema = dsn_of(request, layout), f"columns_{uuid.uuid4().hex[:10]}"
    migrate(dsn, schema, layout=layout)
    try:
        with psycopg.connect(dsn, autocommit=True) as conn:
            found = conn.execute(
                "SELECT table_name::text, array_agg(column_name::text ORDER BY ordinal_position)"
                " FROM information_schema.columns WHERE table_schema = %s GROUP BY 1",
                (schema,),
            ).fetchall()
    finally:
        with psycopg.connect(dsn, autocommit=True) as conn:
            conn.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(schema)))
    columns = dict(found)

    for table in (*BY_POSITION, *BESIDE):
        assert sorted(table.columns) == sorted(columns[table.name]), table.name
    for beside in BESIDE:
        assert set(beside.key) <= set(beside.columns)
