"""An order is shown alike by every way there is, also when more than its own trades befall it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from infrastructure.embedded_server import EmbeddedServer
from tests.order_life import Life
from tests.order_ways import Document, OpenVenue


@pytest.fixture(scope="module")
def opened(postgres: EmbeddedServer) -> Iterator[OpenVenue]:
    """One venue for all lives."""
    with OpenVenue.on(postgres.dsn()) as opened:
        yield opened


def exits(kind: str = "bracket", **terms: Any) -> Document:
    """The exits of a group."""
    return {
        "order_class": kind,
        "take_profit": {"limit_price": "105"},
        "stop_loss": {"stop_price": "95"},
        **terms,
    }


def soon(**more: float) -> str:
    """A moment that comes."""
    return (datetime.now(UTC) + timedelta(**more)).isoformat()


def queued(life: Life) -> None:
    """What is sent while the instrument is closed is replaced, canceled, and met in the auction."""
    kept = life.place("buy", 5, "98")
    life.close()
    market = life.place("buy", 4)
    life.place("sell", 1, type="stop", stop_price="90")
    group = life.place("buy", 6, "100", **exits())
    other = life.place("sell", 3, "105", **exits("oco"))
    life.replace(kept, limit_price="99")
    life.replace(group, qty="5")
    life.replace(market, qty="3")
    life.cancel(other)
    life.meet("sell", 6, "99")
    life.open()
    life.meet("sell", 9, "98.5")


def halted(life: Life) -> None:
    """The same with a halt between, of orders that had traded before it."""
    order = life.place("buy", 10, "99")
    group = life.place("buy", 4, "98", **exits())
    life.meet("sell", 4, "99")
    life.operate("/halt", reason="news")
    newer = life.replace(order, limit_price="99.5")
    life.place("sell", 3, "105", **exits("oco"))
    life.cancel(group)
    life.meet("sell", 2, "99.5")
    life.operate("/resume")
    life.cancel(newer)


def renamed(life: Life) -> None:
    """Every order of an instrument that takes another symbol, and what comes after."""
    order = life.place("buy", 10, "99")
    life.meet("sell", 4, "99")
    newer = life.replace(order, limit_price="98")
    group = life.place("sell", 10, "105", **exits("oco"))
    life.cancel(life.place("buy", 1, "97"))
    life.rename("R" + uuid4().hex[:8].upper())
    newest = life.replace(newer, qty="9")
    life.meet("sell", 2, "98")
    life.meet("buy", 3, "105")
    life.correct("104.5")
    life.rename("S" + uuid4().hex[:8].upper())
    life.replace(group, limit_price="106")
    life.cancel(newest)
    life.meet("buy", 7, "106")


def protected(life: Life) -> None:
    """What a market order and an elected stop leave rests at the protection price."""
    life.meet("sell", 2, "100")
    order = life.place("buy", 5)
    assert ("partially_filled", "101.0000") == (order["status"], order["protection_price"])
    newer = life.replace(order, qty="4")
    life.meet("sell", 1, "101")
    life.cancel(newer)
    life.meet("buy", 2, "97")
    stop = life.place("sell", 6, type="stop", stop_price="98")
    life.trade(1, "98")
    assert life.order(stop)["protection_price"] is not None
    life.replace(stop, qty="5")
    life.meet("buy", 3, "97.1")


def closing(life: Life) -> None:
    """Positions are closed in part, by percentage, and whole beside a working order."""
    life.place("sell", 10, "105")
    life.meet("buy", 5, "99")
    life.close_position(qty="5")
    life.meet("buy", 8, "99")
    rest = life.close_position(percentage="50")
    life.cancel(rest)
    last = life.close_position()
    assert "new" == last["status"]
    life.meet("buy", 40, "99")


def short(life: Life) -> None:
    """A margin account sells more than it holds, buys back, and brackets a short entry."""
    order = life.place("sell", 70, "101")
    life.meet("buy", 65, "101")
    life.replace(order, qty="68")
    upside = {"take_profit": {"limit_price": "95"}, "stop_loss": {"stop_price": "105"}}
    life.place("sell", 5, "100", **exits(**upside))
    life.meet("buy", 8, "100")
    life.bust()
    life.meet("sell", 20, "100")
    life.place("buy", 10, "100")


def self_traded(life: Life) -> None:
    """The older, the newer or both of one's own orders end when they meet."""
    life.place("buy", 10, "100")
    life.place("sell", 4, "100")
    life.place("sell", 4, "100", self_trade_prevention="cancel_oldest")
    life.place("buy", 4, "100", self_trade_prevention="cancel_both")
    life.place("sell", 9, "101", **exits("oco", take_profit={"limit_price": "101"}))
    life.place("buy", 2, "101", self_trade_prevention="cancel_oldest")


def stopped(life: Life) -> None:
    """A kill switch ends what works, groups and former revisions among them."""
    order = life.place("buy", 10, "99")
    life.replace(order, qty="9")
    life.place("buy", 6, "98", **exits())
    group = life.place("sell", 6, "105", **exits("oco"))
    life.replace(group["legs"][0], stop_price="94")
    life.meet("buy", 2, "105")
    life.stop()


def dated(life: Life) -> None:
    """A gtd order is gtc to Alpaca's clients; it becomes gtc, day and gtd again."""
    order = life.place("buy", 10, "99", time_in_force="gtd", expire_at=soon(days=1))
    assert ("gtc", "gtd") == (order["time_in_force"], order["exact_time_in_force"])
    kept = life.replace(order, time_in_force="gtc")
    assert ("gtc", "gtc", None) == tuple(
        kept[name] for name in ("time_in_force", "exact_time_in_force", "expires_at")
    )
    life.meet("sell", 2, "99")
    dated = life.replace(kept, time_in_force="gtd", expire_at=soon(seconds=0.5))
    group = life.place("buy", 4, "98", **exits(), time_in_force="gtd", expire_at=soon(seconds=0.5))
    assert {"gtd"} == {one["exact_time_in_force"] for one in (group, *group["legs"])}
    due = max(dated["expires_at"], group["expires_at"])
    while datetime.now(UTC) <= datetime.fromisoformat(due):
        life.expire()
    life.expire()
    assert "expired" == life.order(dated)["status"]


def spoken(life: Life) -> None:
    """Placed and replaced over the socket: order and group are answered as they are read."""
    order = life.say("order", **life.terms("buy", 10, "99"))
    life.say("replace", order_id=order["id"], qty="9", limit_price="99.5")
    group = life.say("order", **life.terms("sell", 10, "105", **exits("oco")))
    life.say("replace", order_id=group["legs"][0]["id"], stop_price="94")
    life.meet("sell", 4, "99.5")
    life.say("order", **life.terms("buy", 2, time_in_force="ioc"))


def fractional(life: Life) -> None:
    """Of a coin in lots of a hundredth, at averages that no price has."""
    life.meet("sell", 1, "99.99")
    life.meet("sell", 2, "100.01")
    order = life.place("buy", "4.01", "100.01")
    assert ("crypto", "100.003333") == (order["asset_class"], order["filled_avg_price"])
    life.replace(order, qty="3.99")
    life.correct("100")
    life.bust()


def exits_busted(life: Life) -> None:
    """An exit's own fill, and then its entry's, is taken back."""
    life.place("buy", 10, "100", **exits())
    life.meet("sell", 10, "100")
    life.meet("buy", 4, "105")
    life.correct("105.5")
    life.bust()
    life.meet("buy", 9, "94.5")
    life.trade(1, "95")
    life.bust()


def replaced_into_trades(life: Life) -> None:
    """New terms of an entry, of its take-profit and of its stop trade at once."""
    group = life.place("buy", 10, "99", **exits())
    life.meet("sell", 6, "100")
    entry = life.replace(group, limit_price="100")
    profit, stop = group["legs"]
    assert ["6.00000000"] * 2 == [life.order(leg)["qty"] for leg in (profit, stop)]
    life.meet("buy", 2, "104")
    nearer = life.replace(profit, limit_price="104")
    assert ("partially_filled", "2.00000000") == (nearer["status"], nearer["filled_qty"])
    life.replace(stop, stop_price="96")
    life.meet("sell", 9, "101")
    life.replace(entry, limit_price="101")
    life.meet("buy", 3, "104")
    life.meet("buy", 8, "95.5")
    life.trade(1, "96")


def for_an_auction(life: Life) -> None:
    """What is for the opening or the closing auction alone trades there, and ends with it."""
    closing = life.place("sell", 5, "99", time_in_force="cls")
    life.place("sell", 2, time_in_force="cls")
    life.replace(closing, qty="4")
    life.meet("buy", 3, "100")
    life.close()
    opening = life.place("buy", 5, "99", time_in_force="opg")
    life.place("buy", 1, time_in_force="opg")
    life.replace(opening, limit_price="99.5")
    life.meet("sell", 4, "99")
    life.open()
    life.correct("99.25")
    life.bust()


def for_an_amount(life: Life) -> None:
    """A market order for an amount of money: filled, filled in part, and not at all."""
    life.meet("sell", 3, "100")
    life.meet("sell", 4, "100.5")
    life.place("buy", 0, notional="500.25", time_in_force="day")
    life.place("sell", 0, notional="150", time_in_force="day")
    life.meet("buy", 2, "99")
    life.place("sell", 0, notional="150", time_in_force="day")
    life.bust()


def trailing(life: Life) -> None:
    """Stops that trail by an amount and by a percentage, moved, replaced, halted and elected."""
    life.refused("sell", 2, type="trailing_stop", trail_price="0.001")
    life.refused("buy", 2, type="trailing_stop", trail_percent="100")
    order = life.place("sell", 5, type="trailing_stop", trail_price="2")
    below = life.place("buy", 4, type="trailing_stop", trail_percent="12.5")
    life.trade(1, "101")
    assert ("99.0000", "101.0000") == (life.order(order)["stop_price"], life.order(order)["hwm"])
    newer = life.replace(order, trail="3")
    life.trade(1, "103.5")
    newest = life.replace(newer, qty="3")
    assert ("100.5000", "103.5000") == (newest["stop_price"], newest["hwm"])
    life.replace(below, trail="10")
    life.operate("/halt", reason="news")
    life.operate("/resume")
    life.trade(1, "100.5")
    life.trade(1, "95")
    life.cancel(below)


def undone_after_a_replace(life: Life) -> None:
    """Trades of a revision that was replaced are taken back and given other prices, one by one
    until none is left.
    """
    order = life.place("buy", 10, "99")
    life.meet("sell", 4, "99")
    newer = life.replace(order, qty="9", limit_price="99.5")
    life.meet("sell", 2, "99.5")
    life.bust(before_last=1)
    newest = life.replace(newer, limit_price="98")
    life.correct("97")
    life.meet("sell", 3, "98")
    assert ("5.00000000", "filled") == (life.order(newest)["qty"], life.order(newest)["status"])
    life.bust()
    life.bust(before_last=1)
    ended = life.order(newest)
    assert ("canceled", "busted") == (ended["status"], ended["cancel_reason"])


def ended_in_an_auction(life: Life) -> None:
    """What is due before the session opens trades in no auction; what is for it alone does."""
    life.close()
    due = soon(seconds=0.5)
    order = life.place("buy", 6, "99", time_in_force="gtd", expire_at=due)
    group = life.place("buy", 6, "98", **exits(), time_in_force="gtd", expire_at=due)
    life.place("buy", 6, "98", time_in_force="opg")
    life.meet("sell", 4, "98")
    last = max(order["expires_at"], group["expires_at"])
    while datetime.now(UTC) <= datetime.fromisoformat(last):
        life.expire()
    life.open()
    life.expire()
    assert "expired" == life.order(order)["status"]


LIVES: dict[Callable[[Life], None], str] = {
    queued: "new held replaced canceled partial_fill fill restated",
    halted: "new held partial_fill replaced canceled",
    renamed: "new held partial_fill fill replaced canceled restated trade_correct",
    protected: "new partial_fill replaced canceled triggered",
    closing: "new partial_fill fill canceled",
    short: "new held partial_fill fill replaced canceled trade_bust restated",
    self_traded: "new held canceled",
    stopped: "new held partial_fill replaced canceled restated",
    dated: "new held partial_fill replaced expired",
    spoken: "new held replaced partial_fill canceled",
    trailing: "new rejected restated replaced triggered canceled",
    fractional: "new partial_fill replaced trade_correct trade_bust",
    replaced_into_trades: "new held partial_fill fill replaced restated triggered canceled",
    for_an_auction: "canceled fill new partial_fill replaced restated trade_bust trade_correct",
    for_an_amount: "canceled new partial_fill trade_bust",
    undone_after_a_replace: "new partial_fill fill replaced trade_bust trade_correct canceled",
    ended_in_an_auction: "held expired new partial_fill canceled",
    exits_busted: "new held partial_fill fill restated trade_correct trade_bust triggered canceled",
}
"""Every life, and what must have been told in it."""
TERMS: dict[Callable[[Life], None], dict[str, Any]] = {
    short: {"kind": "margin", "shortable": True},
    fractional: {"asset_class": "crypto", "lot": "0.01"},
}
"""Terms of the instrument, or of the accounts, that a life needs."""


@pytest.mark.parametrize("lived", LIVES, ids=lambda lived: lived.__name__)
def test_alpaca_order_is_shown_alike_by_every_way_whatever_befalls_it(
    opened: OpenVenue, lived: Callable[[Life], None]
) -> None:
    """After every step answers, repeats, reads, lists, the writer and the stream agree."""
    with Life.of(opened, **TERMS.get(lived, {})) as life:
        lived(life)
        life.agree_with_a_stream_from_the_beginning()
        assert set(LIVES[lived].split()) == life.events
