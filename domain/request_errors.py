"""What the writer refuses as a request: too fast, under a name that was used, or set aside."""

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


class CommandQuarantined(Rejection):
    """The command broke the writer and is set aside for an operator."""

    code = "COMMAND_QUARANTINED"

    def __init__(self) -> None:
        super().__init__("the request could not be processed and was set aside for an operator")
