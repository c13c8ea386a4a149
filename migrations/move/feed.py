"""Feeds a follower from the truth's log: in order, each position once, the truth never waiting."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from psycopg import sql

from infrastructure.log.copying import End, Positions, RangeCopy, one, open_end
from infrastructure.log.follower import Follower, Overtaken
from infrastructure.log.layouts import Layout, layout_of
from infrastructure.log.stores import StoreAddress, moves_channel

PAGE_POSITIONS = 5_000
"""How much one transaction brings: what is followed behind is seen in such steps."""
FEW_POSITIONS = 500
"""What may be missing when a store is brought in step while its writer waits."""


class Pair(NamedTuple):
    """The truth and its follower, each on a connection of its own."""

    truth: End
    follower: End


@contextmanager
def opened_pair(truth: StoreAddress, follower: StoreAddress, name: str) -> Iterator[Pair]:
    """Connections to both; raises psycopg.Error."""
    ends: list[End] = []
    try:
        for store in (truth, follower):
            end = open_end(store, Layout.PLAIN, name)
            ends.append(end._replace(layout=layout_of(end.conn, store.schema) or Layout.PLAIN))
        yield Pair(*ends)
    finally:
        for end in ends:
            end.conn.close()


class Feed:
    """Brings the follower what the truth has more."""

    def __init__(self, pair: Pair) -> None:
        self._truth = pair.truth
        self._follower = Follower(pair.follower)
        self._ranges = RangeCopy(pair.truth, pair.follower)

    def page(self, limit: int = PAGE_POSITIONS, up_to: int | None = None) -> int:
        """Bring the next positions, so many at most; how many there were.

        Raises NotFollowing, IncompleteRange and psycopg.Error, and has then brought nothing.
        """
        try:
            return self._page(limit, up_to)
        except Overtaken:
            return 0

    def _page(self, limit: int, up_to: int | None) -> int:
        with self._follower.feeding() as reached:
            last = self._truth.last_position()
            last = min(last if up_to is None else min(last, up_to), reached.position + limit)
            if last <= reached.position:
                return 0
            positions = Positions(reached.position + 1, last)
            self._ranges.copy(positions)
            self._ranges.merge_heads(positions)
            self._follower.advance(positions)
        return positions.size

    def lag(self) -> int:
        """How many positions the follower lacks at its end."""
        return self._truth.last_position() - self._follower.reached().position

    @property
    def follower(self) -> Follower:
        """The store that is fed."""
        return self._follower


def feed_up_to(truth: StoreAddress, follower: StoreAddress, position: int | None = None) -> int:
    """Feed a follower to a position, or to the end of the log; where it stands then.

    It may run beside the mover: who comes first brings a page.
    """
    with opened_pair(truth, follower, "nexus feed") as pair:
        feed = Feed(pair)
        while feed.page(up_to=position):
            pass
        return feed.follower.reached().position


def begin_following(pair: Pair) -> int | None:
    """Let the follower stand where the truth stands, what came before being left to a backfill.

    In the same database every append goes to both from here on, elsewhere the mover feeds it. The
    position; None when it had begun before. Killed anywhere in it, it can be called again.
    """
    truth, follower = pair.truth, Follower(pair.follower)
    _make_row(pair)
    if truth.store.dsn != pair.follower.store.dsn:
        position = truth.last_position()
        begun = follower.begin(position)
        _name_peer(truth, pair.follower.store, None)
    else:
        follower.be_impatient()
        with truth.conn.transaction():
            # No append comes between looking and standing there: it waits for this transaction.
            _lock_epochs(truth)
            position = truth.last_position()
            begun = follower.begin(position)
            _name_peer(truth, pair.follower.store, "both" if begun else None)
    return position if begun else None


def write_both(pair: Pair) -> bool:
    """Have appends go to both stores of one database again, with nothing missing in the follower.

    The writer waits meanwhile, so nothing is done while much is missing.
    """
    feed = Feed(pair)
    if feed.lag() > FEW_POSITIONS:
        return False
    truth = pair.truth
    with (
        opened_pair(truth.store, pair.follower.store, "nexus feed") as others,
        truth.conn.transaction(),
    ):
        rest = Feed(others)
        rest.follower.be_impatient()
        if _lock_epochs(truth) != ["here"]:
            return False
        while rest.page():
            pass
        _name_peer(truth, pair.follower.store, "both")
    return True


def _lock_epochs(truth: End) -> list[str]:
    """Keep appends waiting until the transaction ends; where they go now."""
    truth.conn.execute("SET LOCAL lock_timeout TO '2s'")
    query = _epochs(
        truth, "SELECT array_agg(e.writes) FROM (SELECT writes FROM {} FOR UPDATE) AS e"
    )
    return list(one(truth.conn, query)[0])


def _make_row(pair: Pair) -> None:
    """Have a truth that nobody has led yet say that it is written here."""
    partition = one(pair.follower.conn, _epochs(pair.follower, "SELECT max(partition) FROM {}"))
    pair.truth.conn.execute(
        _epochs(
            pair.truth,
            "INSERT INTO {} (partition, epoch, holder, backend_pid, taken_at, renewed_at)"
            " VALUES (%s, 0, '', 0, clock_timestamp(), '-infinity') ON CONFLICT DO NOTHING",
        ),
        partition,
    )


def _name_peer(truth: End, peer: StoreAddress, writes: str | None) -> None:
    """Have the truth name its follower, and tell who listens."""
    dsn = None if peer.dsn == truth.store.dsn else peer.dsn
    truth.conn.execute(
        _epochs(
            truth,
            "UPDATE {} SET writes = COALESCE(%(writes)s::text, writes), peer_dsn = %(dsn)s::text,"
            " peer_schema = %(schema)s::text, generation = generation + 1"
            " WHERE %(writes)s::text IS NOT NULL OR peer_schema IS DISTINCT FROM %(schema)s::text"
            " OR peer_dsn IS DISTINCT FROM %(dsn)s::text",
        ),
        {"writes": writes, "dsn": dsn, "schema": peer.schema},
    )
    truth.conn.execute("SELECT pg_notify(%s, '')", (moves_channel(truth.store),))


def _epochs(end: End, text: str) -> sql.Composed:
    return sql.SQL(text).format(end.table("writer_epoch"))
