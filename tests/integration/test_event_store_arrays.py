"""Packed arrays reach the server as the values they were packed from."""

from __future__ import annotations

import struct
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import sql
from psycopg.adapt import Dumper
from psycopg.pq import Format

from infrastructure.log.binary_arrays import bigints, byteas, texts, uuids

INT64 = st.integers(-(2**63), 2**63 - 1)
ARRAYS = {
    "uuid": (uuids, st.uuids() | st.none()),
    "bigint": (bigints, INT64 | st.none()),
    "text": (texts, st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)))),
    "bytea": (byteas, st.binary()),
}


class Packed(bytes):
    """A parameter that the server is to read as it is."""


class PackedDumper(Dumper):
    """Sends it so; the statement's cast names its type."""

    format = Format.BINARY

    def dump(self, obj: Packed) -> bytes:
        return obj


@pytest.mark.parametrize("kind", ARRAYS)
def test_event_store_array_arrives_as_it_was_packed(schema: Any, kind: str) -> None:
    """Nulls, neighbours that are equal, extremes and nothing at all included."""
    pack, values = ARRAYS[kind]
    statement = sql.SQL("SELECT {}").format(sql.SQL("%s::" + kind + "[]"))

    with psycopg.connect(schema.dsn) as conn:
        conn.adapters.register_dumper(Packed, PackedDumper)

        @settings(max_examples=150, suppress_health_check=list(HealthCheck), deadline=None)
        @given(st.lists(values | values.map(lambda v: v), max_size=30))
        def arrives(given_values: list[Any]) -> None:
            doubled = [v for v in given_values for _ in (1, 2)]
            row = conn.execute(statement, (Packed(pack(doubled)),), binary=True).fetchone()
            assert row is not None
            assert [bytes(v) if isinstance(v, memoryview) else v for v in row[0]] == doubled

        arrives()


def test_event_store_number_beyond_64_bits_is_refused_before_it_is_sent() -> None:
    """A value that no bigint holds stops the batch here, where nothing is stored yet."""
    with pytest.raises(struct.error):
        bigints([1, 2**63])
