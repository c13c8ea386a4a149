"""`nexus timescale status`: how the move stands, what comes next, and the way back."""

from __future__ import annotations

from collections.abc import Iterator

from api.cli.timescale.moving import Json, opened_entry, tell
from infrastructure.log.stores import told_of
from migrations.move.phases import Phase
from migrations.move.standing import Standing, standing


def command(as_json: Json = False) -> None:
    """Show the phase of the move, rows, lag, rate and time left, differences, and the way back."""
    with opened_entry() as entry:
        stands = standing(entry)
    tell(dict(stands.as_document()), "\n".join(_lines(stands)), as_json=as_json)


def _lines(stands: Standing) -> Iterator[str]:
    truth, move = stands.truth, stands.move
    yield f"truth      {told_of(truth.address)}, {truth.layout}, position {stands.last_position:,}"
    yield f"writes     {truth.writes}, epoch {truth.epoch}, generation {truth.generation}"
    if move is None:
        yield "phase      nothing is moved"
        yield f"next       {stands.next}"
        return
    yield f"phase      {move.phase} since {move.changed_at:%Y-%m-%d %H:%M:%S} UTC"
    yield f"move       {told_of(stands.source)} to {told_of(move.target)}, {move.layout}"
    yield from _follower(stands)
    if move.phase is Phase.BACKFILLING:
        yield from _backfill(stands)
    found = stands.verified
    whole = f", whole at {found.whole_at:%Y-%m-%d %H:%M:%S} UTC" if found.whole_at else ""
    yield f"verified   up to position {found.up_to:,}{whole}; differences: {found.differences:,}"
    yield f"next       {stands.next}"
    yield f"way back   {stands.way_back}"


def _follower(stands: Standing) -> Iterator[str]:
    reach = stands.reach
    if stands.follower is None:
        return
    if reach is None:
        yield f"follower   {told_of(stands.follower)} cannot be asked: {stands.away}"
        return
    yield (
        f"follower   {told_of(stands.follower)}, position {reach.position:,},"
        f" lag {reach.behind:,} events, {reach.behind_seconds:.1f} s"
    )


def _backfill(stands: Standing) -> Iterator[str]:
    if stands.reach is None or stands.move is None:
        return
    progress, reach = stands.move.progress, stands.reach
    share = 100 * reach.brought // max(1, reach.base)
    yield f"backfill   {reach.brought:,} of {reach.base:,} rows, {share} %"
    if progress:
        eta = progress.get("eta_seconds")
        left = "" if eta is None else f", {eta:,} s left"
        yield f"rate       {progress.get('rows_per_second') or 0:,} rows/s{left}"
        if progress.get("waiting"):
            yield f"waiting    {progress['waiting']}"
