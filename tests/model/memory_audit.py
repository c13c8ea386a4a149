"""A log in memory as an auditor reads it, for tests that tamper with it first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from uuid import UUID

from application.audit.second_books.credentials import CredentialRow
from application.audit.snapshots import AggregateSnapshot
from application.audit.verify import StoredRow
from application.log.ports import DeskSnapshot
from domain.identifiers import NO_ID
from infrastructure.log.audit_source import PAGE
from infrastructure.log.memory import MemoryLog


class MemoryAuditSource:
    """A log in memory as an auditor reads it; its parts may be changed before it is."""

    def __init__(self, log: MemoryLog) -> None:
        self.rows = [StoredRow._make((*row[:5], *row.columns)) for row in log.rows]
        self.stored_keys = {
            key: (kept.fingerprint, kept.position) for key, kept in log.keys.items()
        }
        self.api_keys = [
            CredentialRow(
                row.key_id,
                row.digest or b"",
                None if row.account_id == NO_ID else row.account_id,
                "admin" if row.account_id == NO_ID else "trader",
                row.scopes,
                row.label,
                row.expires_at,
                row.version,
                row.position,
                row.created_at,
                row.at if row.revoked else 0,
            )
            for row in log.api_keys.values()
        ]
        self.opened: list[UUID] = []
        self.views: list[tuple[str, int, int]] = []
        self.desks: list[DeskSnapshot] = []
        self.aggregates: list[AggregateSnapshot] = []

    def last_position(self) -> int:
        """The position of the newest row; 0 in an empty log."""
        return self.rows[-1].position if self.rows else 0

    def pages(self) -> Iterator[Sequence[StoredRow]]:
        """Every row by position."""
        rows = sorted(self.rows)
        for start in range(0, len(rows), PAGE):
            yield rows[start : start + PAGE]

    def stream(
        self, originator_id: UUID, after_version: int = 0, limit: int | None = None
    ) -> Sequence[StoredRow]:
        """The rows of one aggregate above a version, in order, at most `limit`."""
        rows = [row for row in self.rows if row.originator_id == originator_id]
        rows.sort(key=lambda row: row.originator_version)
        return [row for row in rows if row.originator_version > after_version][:limit]

    def keys(
        self, wanted: Sequence[tuple[UUID, str]]
    ) -> Mapping[tuple[UUID, str], tuple[bytes, int]]:
        """The stored (fingerprint, position) of request keys."""
        return {key: self.stored_keys[key] for key in wanted if key in self.stored_keys}

    def key_count(self) -> int:
        """How many request keys are stored."""
        return len(self.stored_keys)

    def credentials(self) -> Sequence[CredentialRow]:
        """Every key as it is stored."""
        return self.api_keys

    def subjects(self) -> Sequence[UUID]:
        """Every person whose key is kept."""
        return self.opened

    def tracked(self) -> Sequence[tuple[str, int, int]]:
        """Every view's (name, version, position)."""
        return self.views

    def desk_snapshots(self) -> Sequence[DeskSnapshot]:
        """Every desk snapshot."""
        return sorted(self.desks)

    def aggregate_snapshots(self) -> Iterable[AggregateSnapshot]:
        """Every aggregate snapshot, ordered by id and version."""
        return sorted(self.aggregates)
