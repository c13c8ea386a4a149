"""Compares the two stores of a move: rows by range, what is derived or stands beside, lives, views.

It runs while orders flow and touches nothing but, when asked to repair, ranges of the follower.
What was found equal is remembered: events never change, so the next run goes on behind it.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

from eventsourcing.persistence import MapperDeserialisationError

from infrastructure.log import checksums, derived_checks, recopying
from infrastructure.log.archive_store import ArchivedStore
from infrastructure.log.checksums import Range
from infrastructure.log.library import LibraryRepository
from infrastructure.log.stores import StoreAddress
from infrastructure.log.upkeep import refresh_summaries
from migrations.move.comparing_beside import compare_beside
from migrations.move.comparing_ranges import (
    RANGE_ROWS,
    RangeComparison,
    TruthBroken,
    opened_side,
    ranges,
)
from migrations.move.comparing_views import (
    ComparedViews,
    ViewsNotComparable,
    compare_views,
    rebuild_view,
)
from migrations.move.differences import NAMED, Difference
from migrations.move.phases import MoveRefused
from migrations.move.verified import Verified, remember, remember_differences, verified

SAMPLE = 100
"""How many aggregates are rebuilt from both stores and compared whole."""

_SAVE_SECONDS = 2.0
_STOP_AT = 1000

Progress = Callable[[int, int], None]


class Wanted(NamedTuple):
    """What a run of the comparison is to do."""

    repair: bool = False
    anew: bool = False
    """From the first position on, whatever was compared before."""
    sample: int = SAMPLE
    seed: int | None = None
    range_rows: int = RANGE_ROWS


EVERYTHING = Wanted()
"""What was not compared before, and the rest whole; nothing is repaired."""


@dataclass(slots=True)
class Found:
    """What a run has compared, and what was unequal."""

    seed: int
    began_at: int = 0
    up_to: int = 0
    ranges: int = 0
    sampled: int = 0
    repaired: int = 0
    """Ranges that were brought again."""
    repaired_views: int = 0
    views: ComparedViews | None = None
    not_compared: list[str] = field(default_factory=list)
    differences: list[Difference] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def equal(self) -> bool:
        """Whether everything was compared, and nothing was unequal."""
        return not self.differences and not self.not_compared

    def as_document(self) -> dict[str, Any]:
        """For programs."""
        views = self.views
        return {
            "equal": self.equal,
            "from_position": self.began_at + 1,
            "up_to_position": self.up_to,
            "ranges": self.ranges,
            "repaired_ranges": self.repaired,
            "repaired_views": self.repaired_views,
            "sampled_aggregates": self.sampled,
            "seed": self.seed,
            "view_tables": views.tables if views else 0,
            "view_rows": views.rows if views else 0,
            "views_position": views.position if views else None,
            "not_compared": self.not_compared,
            "differences": [found._asdict() for found in self.differences],
            "seconds": round(self.seconds, 3),
        }


class NotBackfilled(MoveRefused):
    """The follower does not have every event yet: there is nothing to compare it by."""

    def __init__(self) -> None:
        super().__init__(
            "the new store does not have all of the past yet: run `nexus timescale backfill` first"
        )


def verify(
    truth: StoreAddress,
    follower: StoreAddress,
    sync_beside: Callable[[], object],
    wanted: Wanted = EVERYTHING,
    *,
    progress: Progress = lambda done, total: None,
    say: Callable[[str], None] = lambda text: None,
) -> Found:
    """Compare two stores, and remember in both how it went. Raises NotBackfilled, psycopg.Error."""
    seed = random.SystemRandom().randrange(2**32) if wanted.seed is None else wanted.seed
    with opened_side(truth) as ours, opened_side(follower) as theirs:
        with RangeComparison(ours, theirs) as comparison:
            return _Run(comparison, sync_beside, wanted, Found(seed), progress, say).whole()


class _Run:
    def __init__(
        self,
        comparison: RangeComparison,
        sync_beside: Callable[[], object],
        wanted: Wanted,
        found: Found,
        progress: Progress,
        say: Callable[[str], None],
    ) -> None:
        self._comparison = comparison
        self._ours, self._theirs = comparison.truth, comparison.follower
        self._sync_beside = sync_beside
        self._wanted = wanted
        self._found = found
        self._progress = progress
        self._say = say
        self._repaired: list[datetime] = []

    def whole(self) -> Found:
        """Everything, in the order in which one finding explains the next."""
        if not self._theirs.backfilled():
            raise NotBackfilled
        began = time.monotonic()
        for side in (self._ours, self._theirs):
            ArchivedStore(*side.store).find_keys_by_position()
        before = self._remembered()
        self._ranges(before)
        if self._repaired:
            # Days that were summed up from what was wrong.
            side, times = self._theirs, self._repaired
            refresh_summaries(side.conn, side.schema, side.layout, min(times), max(times))
        if self._wanted.anew or self._found.differences or before.whole_at is None:
            self._log_as_a_whole()
        self._found.differences += compare_beside(self._ours, self._theirs, self._sync_beside)
        self._sample()
        self._views()
        self._found.seconds = time.monotonic() - began
        self._remember(whole=True)
        return self._found

    def _ranges(self, before: Verified) -> None:
        found = self._found
        found.began_at = found.up_to = 0 if self._wanted.anew else before.up_to
        end = min(self._ours.last_position(), self._theirs.last_position())
        saved = time.monotonic()
        for part in ranges(found.began_at + 1, end, self._wanted.range_rows):
            differences = self._compare(part)
            found.ranges += 1
            found.differences += differences
            if not found.differences:
                found.up_to = part.last
            self._progress(part.last, end)
            if time.monotonic() - saved > _SAVE_SECONDS:
                saved = time.monotonic()
                self._remember(whole=False)
            if len(found.differences) >= _STOP_AT:
                found.not_compared.append(
                    f"positions above {part.last}: {_STOP_AT} differences are enough"
                )
                break

    def _compare(self, part: Range) -> list[Difference]:
        differences = self._comparison.compare(part)
        if not differences or not self._wanted.repair:
            return differences
        for difference in differences:
            self._say(str(difference))
        try:
            self._repaired += self._comparison.repair(part)
        except TruthBroken as broken:
            self._say(f"not repaired: {broken}")
            return differences
        self._found.repaired += 1
        self._say(f"positions {part.first} to {part.last} were brought again")
        return self._comparison.compare(part)

    def _log_as_a_whole(self) -> None:
        """What no range shows: rows where no range looks, versions that are left out.

        Once is enough: new rows are appended under the guard of heads, or compared in their range.
        """
        for side in (self._ours, self._theirs):
            if not side.layout.chunked:
                continue
            if self._wanted.repair and side is self._theirs:
                self._repair_strays()
            with side.conn.transaction():
                side.conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
                # All of it is read: by no index.
                side.conn.execute("SET LOCAL enable_seqscan TO on")
                strays = derived_checks.strays(side.conn, side.schema, NAMED)
                heads = derived_checks.all_heads(side.conn, side.schema, NAMED)
            whose = "the truth" if side is self._ours else "the follower"
            self._found.differences += [
                Difference(f"stored_events of {whose}", position, "recorded_at", None, at)
                for position, at in strays
            ]
            if heads and self._wanted.repair and side is self._theirs:
                recopying.remake_heads(side.conn, side.schema, [head.key for head in heads])
                heads = derived_checks.all_heads(side.conn, side.schema, NAMED)
            self._found.differences += [
                self._comparison.mismatch(side, "stream_heads", head) for head in heads
            ]

    def _repair_strays(self) -> None:
        side = self._theirs
        for position, recorded_at in derived_checks.strays(side.conn, side.schema, _STOP_AT):
            with side.conn.transaction():
                recopying.delete_stray(side.conn, side.schema, position, recorded_at)
            self._say(f"row {position} at {recorded_at}, which has no place there, was taken out")

    def _sample(self) -> None:
        """Rebuild some aggregates from both stores, those that events chosen by chance are of."""
        chance = random.Random(self._found.seed)
        last = min(self._ours.last_position(), self._theirs.last_position())
        if not last:
            return
        positions = [chance.randint(1, last) for _ in range(self._wanted.sample)]
        with (
            LibraryRepository(*self._ours.store, pinned=True) as ours,
            LibraryRepository(*self._theirs.store, pinned=True) as theirs,
        ):
            for position in positions:
                rows = checksums.event_row(self._ours.conn, self._ours.schema, position)
                identifier = UUID(rows[0]["originator_id"])
                self._found.differences += _compare_lives(identifier, ours, theirs)
                self._found.sampled += 1

    def _views(self) -> None:
        try:
            asyncio.run(self._compare_views())
        except ViewsNotComparable as why:
            self._found.not_compared.append(str(why))

    async def _compare_views(self) -> None:
        stores = (self._ours.store, self._theirs.store)
        compared = await compare_views(*stores, self._say)
        if compared.differences and self._wanted.repair:
            for name in compared.unequal:
                await rebuild_view(self._theirs.store, name)
                self._say(f"view {name} was built again from the follower's log")
            self._found.repaired_views += len(compared.unequal)
            compared = await compare_views(*stores, self._say)
        self._found.views = compared
        self._found.differences += compared.differences

    def _remembered(self) -> Verified:
        ours, theirs = self._ours, self._theirs
        return verified(ours.conn, ours.store, theirs.conn, theirs.store)

    def _remember(self, *, whole: bool) -> None:
        found = self._found
        at = datetime.now(UTC) if whole and found.equal else None
        if not whole:
            at = self._remembered().whole_at
        for side in (self._ours, self._theirs):
            remember(side.conn, side.store, Verified(found.up_to, at, len(found.differences)))
            if whole:
                remember_differences(side.conn, side.store, found.differences)


def _compare_lives(
    identifier: UUID, ours: LibraryRepository, theirs: LibraryRepository
) -> list[Difference]:
    """One aggregate as both stores rebuild it, at a version that both have."""
    follower = _life(theirs, identifier, None)
    truth = _life(ours, identifier, follower.version)
    if truth.version is not None and follower.version != truth.version:
        # A follower that was looked at later has more: as it stood then.
        follower = _life(theirs, identifier, truth.version)
    if truth == follower:
        return []
    return [Difference("aggregate", str(identifier), "", truth.said, follower.said)]


class _Life(NamedTuple):
    """An aggregate as one store rebuilds it, in words."""

    version: int | None
    said: str | None


def _life(repository: LibraryRepository, identifier: UUID, version: int | None) -> _Life:
    try:
        found = repository.get(identifier, version)
    except (AssertionError, ValueError, MapperDeserialisationError) as error:
        return _Life(None, f"cannot be rebuilt: {error}")
    if found is None:
        return _Life(None, None)
    return _Life(found.version, f"{type(found).__name__} {found.state()!r}")


def tail_differences(comparison: RangeComparison, up_to: int) -> list[Difference]:
    """Compare what was not compared yet up to a position, and remember it where it is equal.

    Quick where little is left; raises psycopg.Error.
    """
    ours, theirs = comparison.truth, comparison.follower
    before = verified(ours.conn, ours.store, theirs.conn, theirs.store)
    for part in ranges(before.up_to + 1, up_to):
        differences = comparison.compare(part)
        if differences:
            return differences
    if up_to > before.up_to:
        for side in (ours, theirs):
            remember(side.conn, side.store, before._replace(up_to=up_to))
    return []
