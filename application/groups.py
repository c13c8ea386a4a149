"""Groups of linked orders: what one leg's fill, end or election means for the others."""

from __future__ import annotations

from application.desk import Desk
from domain.decision import Decision
from domain.matching.engine import Market
from domain.order import Order


def leg_filled(desk: Desk, decision: Decision, order: Order, qty: int) -> None:
    """An entry's fill grows the exits; an exit's fill shrinks the other exit."""
    raise NotImplementedError


def leg_ended(desk: Desk, decision: Decision, order: Order) -> None:
    """The end of an exit ends the other; that of an entry leaves exits for what it bought."""
    raise NotImplementedError


def stop_met(desk: Desk, decision: Decision, market: Market, order: Order, seen: int) -> None:
    """The stop's condition was met: the take-profit's remainder ends before the stop runs."""
    raise NotImplementedError


def shrink(desk: Desk, decision: Decision, order: Order, qty: int) -> None:
    """The position no longer holds `qty` of what the exits reserve: both shrink."""
    raise NotImplementedError
