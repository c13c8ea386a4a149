"""What an account's own configuration rules out."""

from __future__ import annotations

from domain.errors import Rejection


class ShortingNotAllowed(Rejection):
    """A short sale of an account whose own configuration has `no_shorting`."""

    code = "SHORTING_NOT_ALLOWED"
    field = "side"

    def __init__(self, qty: str, available: str) -> None:
        super().__init__(
            f"side sell is more than is held: {qty} requested, {available} available, and the"
            " account's configuration has no_shorting",
            qty=qty,
            available=available,
        )


class FractionNotAllowed(Rejection):
    """A fraction of a share to be opened by an account that has set `fractional_trading` off."""

    code = "FRACTION_NOT_ALLOWED"
    field = "qty"

    def __init__(self, opening: str) -> None:
        super().__init__(
            f"qty would open {opening}, and the account's configuration has fractional_trading"
            " off: whole shares only",
            opening=opening,
        )


class TradeSuspended(Rejection):
    """The account's own configuration has `suspend_trade`."""

    code = "TRADE_SUSPENDED"

    def __init__(self) -> None:
        super().__init__("trading is suspended by the account's configuration: suspend_trade")
