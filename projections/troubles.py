"""What keeps views from being what the log says, in words that say what to do about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from projections import tracking
from projections.projection import Projection
from projections.tracking import Tracked, ViewAhead, building_name


def troubles(
    views: Sequence[Projection],
    rows: Sequence[Tracked],
    errors: Mapping[str, tuple[int, str]],
    last: int,
) -> list[str]:
    """A sentence for each view that is not kept, as tracking has them; `last` is where the log
    ended after that was read.
    """
    active = {row.name: row for row in rows if row.state == "active"}
    building = {row.name: row for row in rows if row.state == "building"}
    found = []
    for view in views:
        trouble = _trouble(view, active.get(view.name), building, errors)
        if trouble is None and view.name in active and active[view.name].position > last:
            trouble = str(ViewAhead(view.name, active[view.name].position, last))
        if trouble is not None:
            found.append(f"view {view.name}: {trouble}")
    return found


def _trouble(
    view: Projection,
    row: Tracked | None,
    building: Mapping[str, Tracked],
    errors: Mapping[str, tuple[int, str]],
) -> str | None:
    if row is None:
        return "it is not made yet, which the projector does when it starts"
    if row.version > view.version:
        return (
            f"version {row.version} serves, which a newer program made, and this one keeps"
            f" {view.version}: run the newer program, or `nexus projections rebuild {view.name}`"
        )
    if row.version < view.version:
        next_one = building.get(building_name(view))
        reached = "has not begun" if next_one is None else f"stands at position {next_one.position}"
        why = f"; it could not be: {errors[view.name][1]}" if view.name in errors else ""
        return (
            f"version {row.version} serves and is kept no more; the projector builds version"
            f" {view.version}, which {reached}{why}: wait for it"
        )
    if view.name in errors:
        position, error = errors[view.name]
        if tracking.is_ahead(row, errors):
            return error
        return (
            f"it was stopped after position {position} by {error}; when that is mended, start the"
            f" projector anew or run `nexus projections rebuild {view.name}`"
        )
    return None
