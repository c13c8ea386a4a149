"""What is refused because a purchase, or what pays for it, has not settled."""

from __future__ import annotations

from domain.errors import Rejection


class FreeRiding(Rejection):
    """Shares of a cash account that unsettled proceeds stand for, sold before they settle.

    `until` is the value date of what the sale waits for, as 20261120, and 0 where none can be
    told: a settlement that has failed is tried again every day.
    """

    code = "FREE_RIDING"
    field = "qty"

    def __init__(
        self, needed: str, available: str, unpaid: str, until: int, bought: str = "were bought"
    ) -> None:
        day = f"{until // 10_000:04}-{until // 100 % 100:02}-{until % 100:02}" if until else None
        when = f", due on {day}" if day else ""
        super().__init__(
            f"{needed} requested, {available} available: {unpaid} {bought} with unsettled "
            f"proceeds and cannot be sold before that settles{when}",
            needed=needed,
            available=available,
            unpaid=unpaid,
            until=day,
        )
