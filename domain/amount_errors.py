"""What is refused of orders for an amount of money."""

from __future__ import annotations

from domain.errors import Rejection


class NotionalTooSmall(Rejection):
    """An order for an amount of money that does not reach a lot at the best price there is."""

    code = "NOTIONAL_TOO_SMALL"
    field = "notional"

    def __init__(self, notional: str, lot_costs: str) -> None:
        super().__init__(
            f"notional {notional} does not reach a lot: that is {lot_costs} at the best price",
            notional=notional,
            lot_costs=lot_costs,
        )
