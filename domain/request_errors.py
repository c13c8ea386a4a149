"""What is refused at the writer's door: too fast, or under a name that was used."""

from __future__ import annotations

from typing import Any

from domain.errors import Rejection


class OrderRateExceeded(Rejection):
    """More orders in this second than the account may send."""

    code = "ORDER_RATE_EXCEEDED"

    def __init__(self, limit: int) -> None:
        super().__init__(f"more than {limit} orders in one second", limit=limit)


class RequestKeyReused(Rejection):
    """The key was used before with another body."""

    code = "REQUEST_KEY_REUSED"

    def __init__(self, field: str, key: str) -> None:
        super().__init__(f"{field} {key!r} was used before with another body", field=field, key=key)


class ClientOrderIdSpent(Rejection):
    """A request that was refused has used this client order id up, for ever."""

    code = "CLIENT_ORDER_ID_SPENT"
    field = "client_order_id"

    def __init__(self, key: str, code: str, message: str, details: dict[str, Any]) -> None:
        super().__init__(
            f"client_order_id {key!r} was spent by a request that was refused: {message} ({code})",
            client_order_id=key,
            first={"code": code, "message": message, "details": details},
        )
