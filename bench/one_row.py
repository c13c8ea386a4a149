"""What one commit takes here: a row of a few bytes, inserted and committed on its own."""

from __future__ import annotations

from time import perf_counter
from types import TracebackType
from typing import Any

import psycopg

from bench.report import latencies_of

_BODY = b"x" * 100


class OneRow:
    """Inserts rows into a table of its own, each in a transaction of its own."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._conn: psycopg.AsyncConnection[Any] | None = None
        self._number = 0

    async def run(self, seconds: float) -> list[float]:
        """Commit one row after another; how long each took."""
        assert self._conn is not None
        taken = []
        ends = perf_counter() + seconds
        begun = perf_counter()
        while begun < ends:
            self._number += 1
            await self._conn.execute(
                "INSERT INTO public.bench_one_row VALUES (%s, %s)", (self._number, _BODY)
            )
            now = perf_counter()
            taken.append(now - begun)
            begun = now
        return taken

    async def __aenter__(self) -> OneRow:
        self._conn = await psycopg.AsyncConnection.connect(self._dsn, autocommit=True)
        await self._conn.execute("DROP TABLE IF EXISTS public.bench_one_row")
        await self._conn.execute(
            "CREATE TABLE public.bench_one_row (number bigint PRIMARY KEY, body bytea)"
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._conn is not None
        await self._conn.execute("DROP TABLE public.bench_one_row")
        await self._conn.close()


async def one_row_latencies(dsn: str, seconds: float) -> dict[str, float]:
    """The latencies of single rows committed from this process."""
    async with OneRow(dsn) as one_row:
        return latencies_of(await one_row.run(seconds))
