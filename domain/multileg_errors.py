"""What a multi-leg order is refused for: its legs, their ratios, what must hold between them."""

from __future__ import annotations

from domain.errors import Rejection


class LegCount(Rejection):
    """A multi-leg order has too few legs, or too many."""

    code = "LEG_COUNT"
    field = "legs"

    def __init__(self, count: int) -> None:
        super().__init__(f"{count} legs: a multi-leg order has two to four", legs=count)


class LegRepeated(Rejection):
    """Two legs are of one instrument."""

    code = "LEG_REPEATED"

    def __init__(self, leg: int, symbol: str) -> None:
        super().__init__(
            f"leg {leg + 1} is of {symbol}, as another leg is",
            field=f"legs.{leg}.symbol",
            leg=leg + 1,
            symbol=symbol,
        )


class LegRatio(Rejection):
    """The ratios of the legs are not whole, positive and without a common divisor."""

    code = "LEG_RATIO"

    def __init__(self, leg: int, ratio: int, why: str) -> None:
        super().__init__(
            f"leg {leg + 1} has ratio {ratio}: {why}",
            field=f"legs.{leg}.ratio_qty",
            leg=leg + 1,
            ratio=ratio,
        )


class MixedExerciseStyles(Rejection):
    """Legs are options of both exercise styles."""

    code = "MIXED_EXERCISE_STYLES"

    def __init__(self, leg: int, style: str, other: str) -> None:
        super().__init__(
            f"leg {leg + 1} is an option of {style} style, another leg one of {other} style",
            field=f"legs.{leg}.symbol",
            leg=leg + 1,
            style=style,
            other=other,
        )


class PositionIntentMismatch(Rejection):
    """An order would not do to the position what its intent says."""

    code = "POSITION_INTENT_MISMATCH"
    field = "position_intent"

    def __init__(self, intent: str, why: str) -> None:
        super().__init__(f"position_intent is {intent}, but {why}", intent=intent)


class InvalidConstraint(Rejection):
    """A constraint names no legs, or is of no kind that the venue knows."""

    code = "INVALID_CONSTRAINT"

    def __init__(self, number: int, why: str) -> None:
        super().__init__(
            f"constraint {number + 1} {why}", field=f"constraints.{number}", constraint=number + 1
        )


class CrossedConstraints(Rejection):
    """No prices of two legs meet all constraints between them."""

    code = "CONSTRAINTS_CROSSED"
    field = "constraints"

    def __init__(self, left: int, right: int) -> None:
        super().__init__(
            f"no prices of legs {left + 1} and {right + 1} meet all constraints between them",
            legs=f"{left + 1},{right + 1}",
        )


class LegOfStrategy(Rejection):
    """A leg of a multi-leg order is asked for by itself."""

    code = "LEG_OF_STRATEGY"
    field = "order_id"

    def __init__(self, order_id: str, parent_id: str) -> None:
        super().__init__(
            f"order {order_id} is a leg of the multi-leg order {parent_id}, and goes with it",
            order_id=order_id,
            parent_id=parent_id,
        )


class StrategyQtyMismatch(Rejection):
    """A quantity of units that is not whole, or below what has traded."""

    code = "STRATEGY_QTY"
    field = "qty"

    def __init__(self, qty: str, why: str) -> None:
        super().__init__(f"{qty} units: {why}", qty=qty)
