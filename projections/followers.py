"""Views under way: where each stands, and those at one position moved on together."""

from __future__ import annotations

from collections.abc import Sequence

from application.log.ports import Recorded
from projections import tracking
from projections.connections import Statement, StatementFailed, ViewConnection
from projections.projection import Folding, Projection


class Follower:
    """One view under way."""

    def __init__(self, view: Projection) -> None:
        self.view = view
        self.position = 0
        self._writers = tracking.writers(view)

    @property
    def name(self) -> str:
        """The view's name."""
        return self.view.name

    def statements(self) -> list[Statement]:
        """What writes the changes that the view has folded."""
        return [
            statement
            for writer, changes in zip(self._writers, self.view.changes, strict=True)
            for statement in writer.statements(changes)
        ]


class WriteFailed(Exception):
    """A view's rows could not be written; the cause is the error."""

    def __init__(self, follower: Follower) -> None:
        super().__init__(follower.name)
        self.follower = follower


class Group:
    """Followers that stand at one position."""

    def __init__(self, followers: Sequence[Follower], channel: str) -> None:
        self.followers = tuple(followers)
        self._folding = Folding(follower.view for follower in followers)
        keys = [(follower.view.name, follower.view.version) for follower in followers]
        self._advance = tracking.Advance(keys, "active", channel=channel)

    def fold(self, batch: Sequence[Recorded]) -> None:
        """Turn a batch into changes; raises FoldFailed."""
        self._folding.fold(batch)

    async def commit(self, session: ViewConnection, before: int, after: int) -> None:
        """Write what was folded and move the views, in one transaction.

        Raises PositionMoved when somebody else has moved them, and WriteFailed.
        """
        statements = [self._advance.statement(before, after)]
        whose: list[Follower | None] = [None]
        for follower in self.followers:
            own = follower.statements()
            statements += own
            whose += [follower] * len(own)
        try:
            await session.transact(statements)
        except StatementFailed as failed:
            assert failed.__cause__ is not None
            follower_failed = whose[failed.number]
            if follower_failed is None:
                raise failed.__cause__ from None
            raise WriteFailed(follower_failed) from failed.__cause__
        for follower in self.followers:
            follower.position = after
