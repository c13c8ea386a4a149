"""What is refused of watchlists."""

from __future__ import annotations

from domain.errors import Rejection


class UnknownWatchlist(Rejection):
    """The account has no such list."""

    code = "UNKNOWN_WATCHLIST"
    field = "watchlist_id"

    def __init__(self, which: str, field: str) -> None:
        super().__init__(f"no watchlist {which!r}", which=which, field=field)


class WatchlistNameTaken(Rejection):
    """The account has another list of this name."""

    code = "WATCHLIST_NAME_TAKEN"
    field = "name"

    def __init__(self, name: str) -> None:
        super().__init__("watchlist name must be unique", name=name)


class WatchlistLimit(Rejection):
    """More lists than an account may have, or more symbols than a list may."""

    code = "WATCHLIST_LIMIT"

    def __init__(self, field: str, what: str, limit: int) -> None:
        super().__init__(f"at most {limit} {what}", field=field, limit=limit)


class NotOnWatchlist(Rejection):
    """The instrument is not on the list."""

    code = "NOT_ON_WATCHLIST"
    field = "symbol"

    def __init__(self, symbol: str) -> None:
        super().__init__(f"{symbol} is not on the watchlist", symbol=symbol)
