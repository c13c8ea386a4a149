"""An order is shown alike by every way there is to see it, through every step of its life."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from infrastructure.embedded_server import EmbeddedServer
from tests.order_life import Life
from tests.order_ways import Document, OpenVenue


@pytest.fixture(scope="module")
def opened(postgres: EmbeddedServer) -> Iterator[OpenVenue]:
    """One venue for all lives."""
    with OpenVenue.on(postgres.dsn()) as opened:
        yield opened


@pytest.fixture
def life(opened: OpenVenue) -> Iterator[Life]:
    """A life of its own."""
    with Life.of(opened) as life:
        yield life


def soon(**more: float) -> str:
    """A moment that comes."""
    return (datetime.now(UTC) + timedelta(**more)).isoformat()


def exits(kind: str, **terms: Any) -> Document:
    """The exits of a group."""
    return {
        "order_class": kind,
        "take_profit": {"limit_price": "105"},
        "stop_loss": {"stop_price": "95"},
        **terms,
    }


def market(life: Life) -> None:
    """Nothing is there, then all of it, then only a part."""
    life.place("buy", 5, time_in_force="ioc")
    life.meet("sell", 5, "100")
    life.place("buy", 5, time_in_force="ioc")
    life.meet("sell", 2, "100")
    life.place("buy", 5)


def limit(life: Life) -> None:
    """Rests, trades in part, trades whole."""
    life.place("buy", 10, "99")
    life.meet("sell", 4, "99")
    life.meet("sell", 6, "99")


def crossing(life: Life) -> None:
    """Trades with two at once, at two prices, and rests with the remainder."""
    life.meet("sell", 3, "99")
    life.meet("sell", 3, "99.5")
    order = life.place("buy", 10, "100")
    assert "99.250000" == order["filled_avg_price"]
    life.cancel(order)


def immediate(life: Life) -> None:
    """Ioc takes what is there; fok takes all or nothing."""
    life.meet("sell", 4, "100")
    life.place("buy", 10, "100", time_in_force="ioc")
    life.meet("sell", 4, "100")
    life.place("buy", 10, "100", time_in_force="fok")
    life.place("buy", 4, "100", time_in_force="fok")


def dated(life: Life) -> None:
    """A gtd order is replaced and expires on its own date, a day order with its session."""
    order = life.place("buy", 10, "99", time_in_force="gtd", expire_at=soon(seconds=0.4))
    life.meet("sell", 1, "99")
    kept = life.place("buy", 5, "98", time_in_force="gtd", expire_at=soon(days=1))
    life.replace(kept, time_in_force="day")
    while datetime.now(UTC) <= datetime.fromisoformat(order["expires_at"]):
        life.expire()
    life.expire()
    assert life.order(order)["expired_at"] is not None
    life.close()


def passive(life: Life) -> None:
    """A post-only order rests, is replaced and canceled; one that would trade is refused."""
    order = life.place("buy", 10, "99", post_only=True)
    newer = life.replace(order, limit_price="99.5")
    life.cancel(newer)
    life.meet("sell", 1, "100")
    life.refused("buy", 10, "100", post_only=True)


def refused(life: Life) -> None:
    """Too dear, of an unknown instrument, and a group whose legs are the wrong way round."""
    life.refused("buy", 49_000, "149")
    life.refused("sell", 7, "100", symbol="NOWHERE", time_in_force="day", client_order_id="mine")
    life.refused("buy", 10, stop_price="101", type="stop", symbol="NOWHERE")
    life.refused("buy", 10, "100", **exits("bracket", take_profit={"limit_price": "90"}))


def replaced(life: Life) -> None:
    """Smaller keeps its place, dearer does not; both before and after a partial fill."""
    first = life.place("buy", 10, "99", client_order_id="first")
    second = life.replace(first, qty="9")
    third = life.replace(second, limit_price="98", client_order_id="third")
    life.meet("sell", 3, "98")
    fourth = life.replace(third, qty="8")
    fifth = life.replace(fourth, limit_price="98.5", time_in_force="day")
    life.meet("sell", 1, "98.5")
    chain = [life.order(order) for order in (first, second, third, fourth, fifth)]
    assert [None] + [order["id"] for order in chain[:-1]] == [o["replaces"] for o in chain]
    assert [order["id"] for order in chain[1:]] + [None] == [o["replaced_by"] for o in chain]
    assert ["replaced"] * 4 + ["partially_filled"] == [order["status"] for order in chain]
    for older in chain[:-1]:
        assert older["replaced_at"] == older["updated_at"] is not None
    assert chain[-1]["replaced_at"] is None
    # Each revision has the time of its own last fill.
    assert [None] * 3 == [chain[place]["filled_at"] for place in (0, 1, 3)]
    assert chain[2]["filled_at"] < chain[4]["filled_at"]
    life.cancel(fifth)


def replaced_into_a_trade(life: Life) -> None:
    """New terms that trade at once, in part and whole."""
    order = life.place("buy", 10, "99")
    life.meet("sell", 4, "100")
    newer = life.replace(order, limit_price="100")
    life.meet("sell", 10, "101")
    newest = life.replace(newer, limit_price="101")
    assert "filled" == newest["status"]


def stopped(life: Life) -> None:
    """A stop waits, is replaced, is elected and trades; the older revision was never elected."""
    life.meet("sell", 9, "101")
    order = life.place("buy", 5, type="stop", stop_price="101.5")
    newer = life.replace(order, stop_price="101")
    life.trade(1, "101")
    assert life.order(order)["triggered_at"] is None
    assert life.order(newer)["triggered_at"] is not None


def stop_limited(life: Life) -> None:
    """An elected stop limit rests and is replaced: both revisions were elected."""
    order = life.place("buy", 5, "100", type="stop_limit", stop_price="102")
    life.trade(1, "102")
    newer = life.replace(order, limit_price="101")
    life.meet("sell", 2, "101")
    assert life.order(order)["triggered_at"] == life.order(newer)["triggered_at"] is not None
    life.cancel(newer)


def busted(life: Life) -> None:
    """A bust and a correction of a working order, of a replaced one and of one that ended."""
    order = life.place("buy", 10, "99")
    life.meet("sell", 4, "99")
    life.correct("98")
    life.bust()
    newer = life.replace(order, qty="9")
    life.meet("sell", 2, "99")
    newest = life.replace(newer, limit_price="99.5")
    life.bust()
    assert ("2.00000000", "0.00000000") == (
        life.order(newer)["filled_qty"],
        life.order(newest)["filled_qty"],
    )
    life.meet("sell", 3, "99.5")
    life.cancel(newest)
    life.correct("99")
    life.bust()


def oco_fills(life: Life) -> None:
    """The take-profit trades and the stop shrinks with it; both are replaced in between."""
    group = life.place("sell", 10, "105", **exits("oco"))
    (stop,) = group["legs"]
    life.meet("buy", 4, "105")
    shrunk = life.order(stop)
    assert "6.00000000" == shrunk["qty"]
    newer = life.replace(stop, stop_price="94")
    assert "6.00000000" == life.order(stop)["qty"] == newer["qty"]
    parent = life.replace(group, qty="12")
    life.meet("buy", 3, "105")
    life.replace(parent, limit_price="106")
    life.replace(newer, stop_price="93")
    life.meet("buy", 20, "106")


def oco_stops(life: Life) -> None:
    """The stop takes over; a group is canceled whole by its id; the position shrinks beneath."""
    life.meet("buy", 6, "94.5")
    group = life.place("sell", 10, "105", **exits("oco"))
    life.trade(1, "95")
    rest = life.order(group["legs"][0])
    assert ("partially_filled", "94.0500") == (rest["status"], rest["protection_price"])
    newer = life.replace(rest, qty="9")
    assert "94.0500" == life.order(rest)["protection_price"] == newer["protection_price"]
    life.meet("buy", 3, "94.5")
    life.meet("buy", 24, "94")
    life.meet("sell", 5, "96")
    life.place("buy", 5, "96")
    other = life.place("sell", 45, "105", **exits("oco", stop_loss={"stop_price": "93"}))
    life.bust()
    assert "41.00000000" == life.order(other)["qty"]
    life.cancel({"id": other["group_id"]})


def bracket(life: Life) -> None:
    """Exits grow with the entry's fills; entry and exits are replaced, the stop ends it."""
    group = life.place("buy", 10, "100", **exits("bracket"))
    profit, stop = group["legs"]
    entry = life.replace(group, qty="12")
    life.meet("sell", 4, "100")
    higher = life.replace(profit, limit_price="106")
    life.meet("sell", 3, "100")
    lower = life.replace(stop, stop_price="94")
    life.meet("buy", 2, "106")
    life.cancel(entry)
    life.replace(higher, limit_price="107")
    life.replace(lower, stop_price="93")
    life.trade(1, "98")
    life.meet("buy", 9, "92.5")
    life.trade(1, "93")


def bracket_at_once(life: Life) -> None:
    """An entry that trades when it is placed: the answer shows its exits as they work; a bust of
    all that it bought ends the group.
    """
    life.meet("sell", 6, "100")
    group = life.place("buy", 10, "100", **exits("bracket"), time_in_force="day")
    assert ("partially_filled", "6.00000000") == (group["status"], group["legs"][0]["qty"])
    life.bust()
    ended = [life.order(order) for order in (group, *group["legs"])]
    assert ["busted", "position_closed", "position_closed"] == [o["cancel_reason"] for o in ended]


def oto(life: Life) -> None:
    """One exit alone, which is elected once its entry has traded."""
    life.place("buy", 5, "100", order_class="oto", stop_loss={"stop_price": "95"})
    life.meet("sell", 5, "100")
    life.meet("buy", 9, "94.5")
    life.trade(1, "95")
    other = life.place("buy", 5, "90", order_class="oto", take_profit={"limit_price": "110"})
    life.cancel(other)


LIVES: dict[Callable[[Life], None], str] = {
    market: "new partial_fill fill canceled",
    limit: "new partial_fill fill",
    crossing: "new partial_fill canceled",
    immediate: "new partial_fill fill canceled",
    dated: "new partial_fill replaced expired",
    passive: "new replaced canceled rejected",
    refused: "rejected",
    replaced: "new partial_fill replaced canceled",
    replaced_into_a_trade: "new partial_fill fill replaced",
    stopped: "new replaced triggered fill",
    stop_limited: "new triggered replaced partial_fill canceled",
    busted: "new partial_fill replaced canceled trade_bust trade_correct",
    oco_fills: "new held partial_fill restated replaced fill canceled",
    oco_stops: "new held triggered partial_fill replaced fill canceled restated trade_bust",
    bracket: "new held partial_fill restated replaced canceled triggered fill",
    bracket_at_once: "new held partial_fill restated trade_bust canceled",
    oto: "new held fill triggered canceled",
}
"""Every life, and what must have been told in it."""


@pytest.mark.parametrize("lived", LIVES, ids=lambda lived: lived.__name__)
def test_alpaca_order_is_shown_alike_by_every_way(
    lived: Callable[[Life], None], life: Life
) -> None:
    """After every step answers, repeats, reads, lists, the writer and the stream agree."""
    lived(life)
    life.agree_with_a_stream_from_the_beginning()
    assert set(LIVES[lived].split()) == life.events
