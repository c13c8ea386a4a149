"""What /healthz and /readyz answer."""

from __future__ import annotations

from typing import Literal

from api.documents import Document


class Health(Document):
    """This process lives."""

    status: Literal["ok"]


class Readiness(Document):
    """Whether orders can be taken, and what is missing when not; by how much the machine's clock
    is off the venue's time, 0 while it is believed, and the log's end ahead of that.
    """

    status: Literal["ready", "not_ready"]
    writer: bool
    database: bool
    writer_position: int | None
    projection_position: int | None
    projection_lag: int | None
    clock_off_ms: int
    ahead_ms: int
    problems: list[str]


HEALTH_DOCUMENTS: tuple[type[Document], ...] = (Health, Readiness)
