"""A multi-leg order that cannot be: each reason has a code and names the leg and the field."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from application.commands import ChangeInstrument, PlaceMultiLeg, SetAccountStatus, SetKillSwitch
from domain.events import MultiLegRejected
from domain.terms import AccountStatus, ExerciseStyle, PositionIntent, Right, TimeInForce
from tests.model.desk_harness import code, shares, wire
from tests.model.strategy_desk import PAIR, StrategyDesk, buys, sells

WITHIN, LINEAR = 1, 2
ONE = 10**9
BUY_TO_CLOSE, SELL_TO_OPEN = int(PositionIntent.BUY_TO_CLOSE), int(PositionIntent.SELL_TO_OPEN)
FIRST_INTENT = "legs.0.position_intent"
THOUSANDS = (buys("A"), sells("B", 10_000))
Scene = Callable[[StrategyDesk], PlaceMultiLeg]


def legs(*rows: Any, **terms: Any) -> Scene:
    """One unit of these legs at a net price of 1."""
    return lambda desk: desk.asked(desk.me, rows, 1, 1, **terms)


def with_terms(**changes: Any) -> Scene:
    """A pair with other terms."""
    return lambda desk: msgspec.structs.replace(desk.asked(desk.me, PAIR, 1, 1), **changes)


def bound(*rows: tuple[int, int, int, int, int, int]) -> Scene:
    """A pair with constraints."""
    return lambda desk: desk.asked(desk.me, PAIR, 1, 1, constraints=rows)


def after(act: Callable[[StrategyDesk], Any], scene: Scene | None = None) -> Scene:
    """A pair after something happened."""

    def asked(desk: StrategyDesk) -> PlaceMultiLeg:
        act(desk)
        return (scene or legs(*PAIR))(desk)

    return asked


def option(symbol: str, style: ExerciseStyle) -> Callable[[StrategyDesk], Any]:
    """An option of A is listed and open."""

    def act(desk: StrategyDesk) -> None:
        desk.instrument(
            symbol,
            asset_class="us_option",
            calendar="24/7",
            multiplier=100,
            underlying="A",
            right=int(Right.CALL),
            strike=wire(100),
            expiry=20991218,
            style=int(style),
            reference_price=wire(5),
            price_decimals=2,
            initial_margin_bps=10_000,
            maintenance_margin_bps=10_000,
        )

    return act


def mixed(desk: StrategyDesk) -> PlaceMultiLeg:
    """A share, an American option and a European one."""
    american, european = "A991218C00100000", "A991219C00100000"
    option(american, ExerciseStyle.AMERICAN)(desk)
    desk.ok(
        desk.listing(
            european,
            asset_class="us_option",
            multiplier=100,
            underlying="A",
            right=int(Right.CALL),
            strike=wire(100),
            expiry=20991219,
            style=int(ExerciseStyle.EUROPEAN),
            reference_price=wire(5),
            price_decimals=2,
            initial_margin_bps=10_000,
            maintenance_margin_bps=10_000,
        )
    )
    return desk.asked(desk.me, (buys("B"), buys(american), buys(european)), 1, 1)


def bounded(**limits: int) -> Callable[[StrategyDesk], Any]:
    """B takes no more than so many shares."""
    return lambda desk: desk.ok(
        ChangeInstrument("B", **{name: shares(qty) for name, qty in limits.items()})
    )


def may_only_close(desk: StrategyDesk) -> None:
    """The account opens nothing any more."""
    desk.ok(SetAccountStatus(desk.me, int(AccountStatus.CLOSING_ONLY), "asked for"))


def unaffordable(desk: StrategyDesk) -> PlaceMultiLeg:
    """Two shares for 200 with 10 dollars."""
    return desk.asked(desk.account("poor", 10), (buys("A"), buys("B")), 1, 200)


UNEVEN = legs(sells("A"), buys("B", 6))
REFUSED: list[tuple[str, str, int, Scene]] = [
    ("LEG_COUNT", "legs", 0, legs()),
    ("LEG_COUNT", "legs", 0, legs(buys("A"))),
    ("LEG_COUNT", "legs", 0, legs(*[buys("A")] * 5)),
    ("INVALID_FIELD", "type", 0, with_terms(order_type=3)),
    ("INVALID_FIELD", "time_in_force", 0, with_terms(time_in_force=2)),
    ("INVALID_FIELD", "limit_price", 0, with_terms(order_type=1)),
    ("INVALID_FIELD", "execution", 0, with_terms(execution=2)),
    ("INVALID_FIELD", "self_trade", 0, with_terms(self_trade=9)),
    ("INVALID_FIELD", "leg_seconds", 0, with_terms(leg_seconds=1)),
    ("STRATEGY_QTY", "qty", 0, with_terms(qty=0)),
    ("STRATEGY_QTY", "qty", 0, with_terms(qty=-shares(1))),
    ("STRATEGY_QTY", "qty", 0, with_terms(qty=shares(1) // 2)),
    ("STRATEGY_QTY", "qty", 0, with_terms(qty=2**63 - 1)),
    ("INVALID_FIELD", "limit_price", 0, with_terms(net_price=2**63 - 1)),
    ("INVALID_FIELD", "limit_price", 0, with_terms(net_price=-(2**63))),
    ("UNKNOWN_INSTRUMENT", "legs.1.symbol", 2, legs(buys("A"), sells("NONE"))),
    ("INVALID_FIELD", "legs.0.side", 1, legs(("A", 3, 1, 0), sells("B"))),
    ("INVALID_FIELD", "legs.1.position_intent", 2, legs(buys("A"), sells("B", 1, 5))),
    ("LEG_REPEATED", "legs.2.symbol", 3, legs(buys("A"), sells("B"), sells("A", 2))),
    ("LEG_RATIO", "legs.1.ratio_qty", 2, legs(buys("A"), sells("B", 0))),
    ("LEG_RATIO", "legs.0.ratio_qty", 1, legs(buys("A", -1), sells("B"))),
    ("LEG_RATIO", "legs.1.ratio_qty", 2, legs(buys("A"), sells("B", 10_001))),
    ("LEG_RATIO", "legs.0.ratio_qty", 1, legs(buys("A", 4), sells("B", 6), sells("C", 2))),
    ("MIXED_EXERCISE_STYLES", "legs.2.symbol", 3, mixed),
    ("INVALID_CONSTRAINT", "constraints.0", 0, bound((3, 0, 1, ONE, 0, 0))),
    ("INVALID_CONSTRAINT", "constraints.0", 0, bound((LINEAR, 0, 2, ONE, ONE, 0))),
    ("INVALID_CONSTRAINT", "constraints.0", 0, bound((LINEAR, -1, 1, ONE, ONE, 0))),
    ("INVALID_CONSTRAINT", "constraints.0", 0, bound((WITHIN, 1, 1, ONE, 0, 0))),
    ("INVALID_CONSTRAINT", "constraints.0", 0, bound((WITHIN, 0, 1, ONE + 1, 0, 0))),
    ("INVALID_CONSTRAINT", "constraints.0", 0, bound((LINEAR, 0, 1, 0, 0, ONE))),
    ("INVALID_CONSTRAINT", "constraints.0", 0, bound((LINEAR, 0, 1, 2**62, 1, ONE))),
    ("INVALID_CONSTRAINT", "constraints.8", 0, bound(*[(WITHIN, 0, 1, ONE, 0, 0)] * 9)),
    ("CONSTRAINTS_CROSSED", "constraints", 0, bound((LINEAR, 0, 1, ONE, ONE, -ONE))),
    (
        "CONSTRAINTS_CROSSED",
        "constraints",
        0,
        bound((WITHIN, 0, 1, ONE // 100, 0, 0), (LINEAR, 1, 0, 2 * ONE, -ONE, 0)),
    ),
    ("ACCOUNT_NOT_ACTIVE", "legs.0", 1, after(may_only_close)),
    ("MARKET_CLOSED", "legs.1.symbol", 2, after(lambda d: d.close("B"), legs(*PAIR, tif=3))),
    ("INSTRUMENT_HALTED", "legs.1.symbol", 2, after(lambda d: d.halt("B"))),
    ("INSTRUMENT_HALTED", "legs.0.symbol", 1, after(lambda d: d.halt("A"), legs(*PAIR, tif=4))),
    ("LOT_VIOLATION", "legs.1.ratio_qty", 2, with_terms(legs=THOUSANDS, qty=5 * 10**16)),
    ("ORDER_TOO_LARGE", "legs.1.ratio_qty", 2, after(bounded(max_order_qty=5), UNEVEN)),
    (
        "POSITION_LIMIT_EXCEEDED",
        "legs.1.ratio_qty",
        2,
        after(bounded(position_limit=10_001), UNEVEN),
    ),
    ("POSITION_INTENT_MISMATCH", FIRST_INTENT, 1, legs(buys("A", 1, SELL_TO_OPEN), sells("B"))),
    ("POSITION_INTENT_MISMATCH", FIRST_INTENT, 1, legs(buys("A", 1, BUY_TO_CLOSE), sells("B"))),
    ("POSITION_INTENT_MISMATCH", FIRST_INTENT, 1, legs(sells("A", 1, SELL_TO_OPEN), buys("B"))),
    ("INSUFFICIENT_QTY", "legs.1.ratio_qty", 2, with_terms(qty=shares(10_001))),
    ("INSUFFICIENT_BUYING_POWER", "qty", 0, unaffordable),
    ("ACCOUNT_KILL_SWITCH", "", 0, after(lambda d: d.ok(SetKillSwitch(d.me, True, "stop")))),
    ("VENUE_KILL_SWITCH", "", 0, after(lambda d: d.ok(SetKillSwitch(None, True, "stop")))),
]


@pytest.mark.parametrize(
    ("refused", "field", "leg", "scene"),
    [pytest.param(*row, id=f"{row[0]} {n}") for n, row in enumerate(REFUSED)],
)
def test_multileg_order_is_refused_by_code_leg_and_field(
    refused: str, field: str, leg: int, scene: Scene
) -> None:
    """Nothing of it is half created: no leg is accepted, nothing is held, one event says why."""
    desk = StrategyDesk()
    command = scene(desk)
    before = len(desk.desk.orders.working)

    reply = desk.send(command)

    assert refused == code(reply)
    assert reply.refusal is not None
    assert (field, leg) == (
        reply.refusal.details.get("field", ""),
        reply.refusal.details.get("leg", 0),
    )
    (event,) = desk.events
    assert isinstance(event, MultiLegRejected)
    assert (refused, command.client_order_id) == (event.code, event.client_order_id)
    assert before == len(desk.desk.orders.working)
    assert {} == desk.desk.strategies.live
    desk.audit()


def test_multileg_refusal_is_the_first_that_fails() -> None:
    """Shape before terms, terms before legs, each leg before money, and switches last."""
    desk = StrategyDesk()
    poor = desk.account("poor", 1)
    desk.ok(SetKillSwitch(poor, True, "stop"))
    wrong = (buys("NONE"), sells("B", 0), ("C", 7, 2, 0))

    def said(rows: Any, qty: Any, tif: TimeInForce = TimeInForce.GTC) -> str:
        return code(desk.strategy(poor, rows, qty, 200, tif))

    assert "LEG_COUNT" == said(wrong[:1], 0, TimeInForce.OPG)
    assert "INVALID_FIELD" == said(wrong, 0, TimeInForce.OPG)
    assert "STRATEGY_QTY" == said(wrong, 0)
    assert "UNKNOWN_INSTRUMENT" == said(wrong, 1)
    assert "INVALID_FIELD" == said((buys("A"), *wrong[1:]), 1)
    assert "LEG_RATIO" == said((buys("A"), sells("B", 0)), 1)
    assert "INSUFFICIENT_QTY" == said((buys("A"), sells("B")), 1)
    assert "INSUFFICIENT_BUYING_POWER" == said((buys("A"), buys("B")), 1)
    desk.ok(SetKillSwitch(poor, False))
