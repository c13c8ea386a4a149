"""What is refused because an option is, or is not, over."""

from __future__ import annotations

from domain.errors import Rejection


class OptionExpired(Rejection):
    """An option that is over for good."""

    code = "OPTION_EXPIRED"
    field = "symbol"

    def __init__(self, symbol: str, expiry: int) -> None:
        day = f"{expiry // 10_000:04}-{expiry // 100 % 100:02}-{expiry % 100:02}"
        super().__init__(f"{symbol} expired on {day}", symbol=symbol, expired_on=day)


class EarlyExercise(Rejection):
    """An option is exercised at its expiry, by itself, and never before."""

    code = "EARLY_EXERCISE"
    field = "symbol_or_asset_id"

    def __init__(self, symbol: str, expiry: int) -> None:
        day = f"{expiry // 10_000:04}-{expiry // 100 % 100:02}-{expiry % 100:02}"
        super().__init__(
            f"{symbol} is exercised by itself at its expiry on {day}, when it is a cent in the"
            " money, and not before",
            symbol=symbol,
            expires_on=day,
        )
