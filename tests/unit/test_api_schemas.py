"""Request bodies: taken exactly, or refused under the name of the first wrong member."""

from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.admin_schemas import (
    AccountRequest,
    CommissionRequest,
    KillSwitchRequest,
)
from api.instrument_schemas import InstrumentRequest
from api.orders import OrderRequest, ReplaceRequest
from api.schemas import validated
from application.commands import PlaceGroup, PlaceOrder
from domain.commission import Kind, Schedule
from domain.errors import Rejection

ACCOUNT = UUID(int=7)
GOOD: dict[str, Any] = {
    "symbol": "AAPL",
    "qty": "10",
    "side": "buy",
    "type": "limit",
    "time_in_force": "gtc",
    "limit_price": "101.25",
}


def test_an_order_becomes_its_command() -> None:
    """Each member arrives in its unit."""
    order = validated(OrderRequest, {**GOOD, "post_only": True, "extended_hours": False})

    assert PlaceOrder(
        ACCOUNT, "AAPL", 1, 2, 1, 10 * 10**8, 101_250_000_000, 0, "mine", 0, True, 1
    ) == order.command(ACCOUNT, "mine")


def test_a_gtd_order_carries_its_instant() -> None:
    """The expiry is microseconds, whatever offset it was written with."""
    terms = {**GOOD, "time_in_force": "gtd", "expire_at": "2026-11-20T22:00:00.5+01:00"}

    assert 1795208400_500_000 == validated(OrderRequest, terms).command(ACCOUNT, "x").expires_at


TRAILING = {"type": "trailing_stop", "limit_price": None, "trail_price": "5"}


@pytest.mark.parametrize(
    ("field", "terms"),
    [
        ("symbol", {"symbol": None}),
        ("symbol", {"symbol": ""}),
        ("symbol", {"symbol": "A\x00B"}),
        ("symbol", {"symbol": "A" * 25}),
        ("symbol", {"symbol": 7}),
        ("qty", {"qty": None}),
        ("qty", {"qty": 0}),
        ("qty", {"qty": "0.000000001"}),
        ("qty", {"qty": True}),
        ("qty", {"qty": {"a": 1}}),
        ("side", {"side": "hold"}),
        ("side", {"side": None}),
        ("time_in_force", {"time_in_force": "ext"}),
        ("limit_price", {"type": "trailing_stop", "trail_price": "1"}),
        ("trail_price", {"type": "trailing_stop", "limit_price": None}),
        ("trail_percent", {**TRAILING, "trail_percent": "5"}),
        ("trail_percent", {**TRAILING, "trail_price": None, "trail_percent": "1.2345"}),
        ("trail_percent", {**TRAILING, "trail_price": None, "trail_percent": "0"}),
        ("trail_price", {**TRAILING, "trail_price": "-1"}),
        ("stop_price", {**TRAILING, "stop_price": "99"}),
        ("time_in_force", {"time_in_force": None}),
        ("limit_price", {"limit_price": None}),
        ("limit_price", {"limit_price": "-1"}),
        ("limit_price", {"limit_price": "1.0000000001"}),
        ("limit_price", {"type": "market"}),
        ("stop_price", {"stop_price": "99"}),
        ("stop_price", {"type": "stop_limit"}),
        ("expire_at", {"expire_at": "2026-11-20T22:00:00Z"}),
        ("expire_at", {"time_in_force": "gtd"}),
        ("expire_at", {"time_in_force": "gtd", "expire_at": "2026-11-20T22:00:00"}),
        ("expire_at", {"time_in_force": "gtd", "expire_at": 1795208400}),
        ("expire_at", {"time_in_force": "gtd", "expire_at": "soon"}),
        ("extended_hours", {"extended_hours": True}),
        ("extended_hours", {"extended_hours": "no"}),
        ("order_class", {"order_class": "mleg"}),
        ("notional", {"notional": "100", "qty": None}),
        ("trail_price", {"trail_price": "1"}),
        ("trail_price", {"type": "stop", "limit_price": None, "stop_price": 9, "trail_price": 1}),
        ("trail_percent", {"trail_percent": "1"}),
        ("legs", {"legs": []}),
        ("position_intent", {"position_intent": "buy_to_open"}),
        ("post_only", {"post_only": True, "time_in_force": "ioc"}),
        ("post_only", {"post_only": 1}),
        ("client_order_id", {"client_order_id": ""}),
        ("client_order_id", {"client_order_id": "x" * 129}),
        ("client_order_id", {"client_order_id": "a\nb"}),
        ("client_order_id", {"client_order_id": 5}),
        ("self_trade_prevention", {"self_trade_prevention": "never"}),
    ],
)
def test_the_wrong_member_is_named(field: str, terms: dict[str, Any]) -> None:
    """One wrong member, one refusal that names it in its field and in its words."""
    with pytest.raises(Rejection) as refusal:
        validated(OrderRequest, {**GOOD, **terms})

    assert field == refusal.value.details["field"]
    assert field in refusal.value.message


@pytest.mark.parametrize("name", ["symbol", "qty", "side", "type", "time_in_force"])
def test_what_is_missing_is_named(name: str) -> None:
    """A required member that is left out is named."""
    with pytest.raises(Rejection) as refusal:
        validated(OrderRequest, {key: value for key, value in GOOD.items() if key != name})

    assert f"{name} is required" == refusal.value.message


def test_members_that_alpaca_may_add_are_passed_over() -> None:
    """A trader's client of another age is not refused for a member that changes nothing."""
    assert validated(OrderRequest, {**GOOD, "a_new_member": 1, "legs": None}).symbol == "AAPL"


GROUP: dict[str, Any] = {
    **GOOD,
    "order_class": "bracket",
    "take_profit": {"limit_price": 110},
    "stop_loss": {"stop_price": "95.5", "limit_price": "95"},
}
OCO = {**GROUP, "order_class": "oco", "side": "sell", "limit_price": None}


def test_a_bracket_becomes_its_command_with_take_profit_and_stop_loss() -> None:
    """Entry and exits arrive in one command, each price in its unit."""
    order = validated(OrderRequest, {**GROUP, "locate": True})

    assert PlaceGroup(
        ACCOUNT, "AAPL", 2, 1, 2, 1, 10 * 10**8, 101_250_000_000, 0, "mine",
        110 * 10**9, 95_500_000_000, 95 * 10**9, 0, 0, 1, True,
    ) == order.command(ACCOUNT, "mine")  # fmt: skip


@pytest.mark.parametrize(
    "prices",
    [
        {},
        {"limit_price": "110"},
        {"limit_price": "110", "take_profit": None},
    ],
)
def test_an_oco_takes_its_limit_from_take_profit_or_from_the_order(prices: dict[str, Any]) -> None:
    """However alpaca-py writes the limit leg's price, it is the take-profit's."""
    order = validated(OrderRequest, {**OCO, **prices})

    assert PlaceGroup(
        ACCOUNT, "AAPL", 1, 2, 2, 1, 10 * 10**8, 0, 0, "mine",
        110 * 10**9, 95_500_000_000, 95 * 10**9,
    ) == order.command(ACCOUNT, "mine")  # fmt: skip


@pytest.mark.parametrize(
    ("exits", "prices"),
    [
        ({"take_profit": {"limit_price": "110"}}, (110 * 10**9, 0, 0)),
        ({"stop_loss": {"stop_price": 95}}, (0, 95 * 10**9, 0)),
        ({"stop_loss": {"stop_price": 95, "limit_price": 94}}, (0, 95 * 10**9, 94 * 10**9)),
    ],
)
def test_an_oto_has_one_exit_take_profit_or_stop_loss(
    exits: dict[str, Any], prices: tuple[int, int, int]
) -> None:
    """The leg that is not there has no price."""
    command = validated(OrderRequest, {**GOOD, "order_class": "oto", **exits}).command(ACCOUNT, "x")

    assert isinstance(command, PlaceGroup)
    assert (3, *prices) == (
        command.order_class,
        command.take_profit_price,
        command.stop_loss_price,
        command.stop_loss_limit_price,
    )


def test_a_stop_loss_may_name_its_own_quantity() -> None:
    """It travels to the writer, which refuses what is not the group's."""
    loss = {"stop_price": "95", "qty": "7"}
    command = validated(OrderRequest, {**GROUP, "stop_loss": loss}).command(ACCOUNT, "x")

    assert isinstance(command, PlaceGroup)
    assert 7 * 10**8 == command.stop_loss_qty


def test_take_profit_and_stop_loss_are_exact_as_numbers_and_as_text() -> None:
    """A JSON number and a string of the same digits are the same command."""
    texts = {"take_profit": {"limit_price": "110"}, "stop_loss": {"stop_price": "95.5"}}
    numbers = {"take_profit": {"limit_price": 110}, "stop_loss": {"stop_price": Decimal("95.5")}}

    one, other = (
        validated(OrderRequest, {**GROUP, **legs}).command(ACCOUNT, "x")
        for legs in (texts, numbers)
    )

    assert one == other


@pytest.mark.parametrize(
    ("field", "terms"),
    [
        ("take_profit", {"take_profit": None}),
        ("take_profit", {"take_profit": "110"}),
        ("take_profit", {"take_profit": []}),
        ("take_profit.limit_price", {"take_profit": {}}),
        ("take_profit.limit_price", {"take_profit": {"limit_price": None}}),
        ("take_profit.limit_price", {"take_profit": {"limit_price": "-1"}}),
        ("take_profit.limit_price", {"take_profit": {"limit_price": "1e3"}}),
        ("take_profit.limit_price", {"take_profit": {"limit_price": "0.0000000001"}}),
        ("stop_loss", {"stop_loss": None}),
        ("stop_loss", {"stop_loss": 95}),
        ("stop_loss.stop_price", {"stop_loss": {}}),
        ("stop_loss.stop_price", {"stop_loss": {"limit_price": "94"}}),
        ("stop_loss.stop_price", {"stop_loss": {"stop_price": True}}),
        ("stop_loss.limit_price", {"stop_loss": {"stop_price": "95", "limit_price": 0}}),
        ("stop_loss.qty", {"stop_loss": {"stop_price": "95", "qty": "0"}}),
        ("stop_loss.trail_price", {"stop_loss": {"trail_price": "5"}}),
        ("stop_loss.trail_percent", {"stop_loss": {"stop_price": "95", "trail_percent": 5}}),
        ("type", {"type": "trailing_stop", "limit_price": None, "trail_price": "5"}),
        ("take_profit", {"order_class": "simple"}),
        ("take_profit", {"order_class": None}),
        ("stop_loss", {"order_class": "", "take_profit": None}),
        ("take_profit", {"order_class": "oto"}),
        ("take_profit", {"order_class": "oto", "take_profit": None, "stop_loss": None}),
        ("type", {"order_class": "oco", "type": "market", "limit_price": None}),
        ("limit_price", {"order_class": "oco", "limit_price": "109"}),
        ("stop_price", {"order_class": "oco", "stop_price": "95", "limit_price": None}),
        ("take_profit", {"order_class": "oco", "limit_price": None, "take_profit": None}),
        ("time_in_force", {"time_in_force": "ioc"}),
        ("time_in_force", {"time_in_force": "fok"}),
        ("post_only", {"post_only": True}),
        ("limit_price", {"limit_price": None}),
        ("locate", {"locate": "yes"}),
    ],
)
def test_the_wrong_member_of_a_bracket_or_oco_is_named_with_its_place(
    field: str, terms: dict[str, Any]
) -> None:
    """A member inside a leg is named as `take_profit.limit_price` is."""
    with pytest.raises(Rejection) as refusal:
        validated(OrderRequest, {**GROUP, **terms})

    assert field == refusal.value.details["field"]
    assert refusal.value.message.startswith(f"{field} ")


def test_an_order_may_say_that_its_shares_are_located() -> None:
    """`locate` travels with a short sale."""
    command = validated(OrderRequest, {**GOOD, "side": "sell", "locate": True}).command(
        ACCOUNT, "x"
    )

    assert isinstance(command, PlaceOrder) and command.locate


PER_SHARE = {"kind": "per_share", "rate": "0.0035"}


@pytest.mark.parametrize(
    ("terms", "schedule"),
    [
        ({"kind": "none"}, Schedule()),
        (PER_SHARE, Schedule(int(Kind.PER_SHARE), ((0, 3_500_000, 3_500_000),))),
        (
            {**PER_SHARE, "minimum": "0.35", "cap_bps": 100},
            Schedule(int(Kind.PER_SHARE), ((0, 3_500_000, 3_500_000),), 35, 100),
        ),
        ({"kind": "bps", "rate": Decimal("1.5")}, Schedule(int(Kind.BPS), ((0, 1500, 1500),))),
        (
            {
                "kind": "bps",
                "tiers": [
                    {"from_qty": "0", "maker": "0.5", "taker": 1},
                    {"from_qty": 300_000, "maker": "-0.25", "taker": "0.125"},
                ],
            },
            Schedule(int(Kind.BPS), ((0, 500, 1000), (300_000 * 10**8, -250, 125))),
        ),
    ],
)
def test_a_commission_schedule_is_read_exactly(terms: dict[str, Any], schedule: Schedule) -> None:
    """Rates, tiers, minimum and cap arrive in their units, from strings or numbers."""
    assert schedule == validated(CommissionRequest, terms).schedule()


TIER = {"from_qty": "0", "maker": "1", "taker": "1"}


@pytest.mark.parametrize(
    ("field", "terms"),
    [
        ("kind", {"kind": "percent"}),
        ("rate", {"kind": "bps"}),
        ("rate", {"kind": "none", "rate": "1"}),
        ("tiers", {"kind": "none", "tiers": [TIER]}),
        ("rate", {"kind": "bps", "rate": "1", "tiers": [TIER]}),
        ("rate", {"kind": "bps", "rate": "1.0001"}),
        ("rate", {"kind": "per_share", "rate": "0.0000000001"}),
        ("rate", {"kind": "bps", "rate": "NaN"}),
        ("rate", {"kind": "bps", "rate": [1]}),
        ("tiers", {"kind": "bps", "tiers": []}),
        ("tiers", {"kind": "bps", "tiers": {"from_qty": "0"}}),
        ("tiers.0", {"kind": "bps", "tiers": ["1"]}),
        ("tiers.1.maker", {"kind": "bps", "tiers": [TIER, {**TIER, "maker": "1.0001"}]}),
        ("tiers.0.taker", {"kind": "bps", "tiers": [{**TIER, "taker": None}]}),
        ("tiers.0.from_qty", {"kind": "bps", "tiers": [{**TIER, "from_qty": "-1"}]}),
        ("tiers.0.rebate", {"kind": "bps", "tiers": [{**TIER, "rebate": "1"}]}),
        ("minimum", {**PER_SHARE, "minimum": "0.001"}),
        ("minimum", {**PER_SHARE, "minimum": "-1"}),
        ("cap_bps", {**PER_SHARE, "cap_bps": 10_001}),
        ("cap", {**PER_SHARE, "cap": "1"}),
    ],
)
def test_the_wrong_member_of_a_commission_schedule_is_named(
    field: str, terms: dict[str, Any]
) -> None:
    """One slip, one refusal that says where; nothing is rounded to fit."""
    with pytest.raises(Rejection) as refusal:
        validated(CommissionRequest, terms)

    assert field == refusal.value.details["field"]
    assert refusal.value.message.startswith(f"{field} ")


@pytest.mark.parametrize(
    ("model", "field", "terms"),
    [
        (KillSwitchRequest, "engaged", {}),
        (KillSwitchRequest, "engaged", {"engaged": "true"}),
        (KillSwitchRequest, "cancel_orders", {"engaged": False, "cancel_orders": True}),
        (InstrumentRequest, "initial_margin_bps", {"initial_margin_bps": 0}),
        (InstrumentRequest, "maintenance_margin_bps", {"maintenance_margin_bps": "2500"}),
        (InstrumentRequest, "settlement_cycle", {"settlement_cycle": 31}),
        (InstrumentRequest, "shortable", {"shortable": 1}),
    ],
)
def test_the_wrong_member_of_an_operators_request_is_named(
    model: Any, field: str, terms: dict[str, Any]
) -> None:
    """What stops trading or sets margins is taken word for word."""
    listing = {"symbol": "AAPL", "name": "Apple", "tick": "0.01", "lot": "1"}
    with pytest.raises(Rejection) as refusal:
        validated(model, {**listing, **terms} if model is InstrumentRequest else terms)

    assert field == refusal.value.details["field"]


def test_an_operators_slip_is_named() -> None:
    """In the venue's own requests a member nobody knows is refused."""
    with pytest.raises(Rejection) as refusal:
        validated(AccountRequest, {"name": "a", "max_order_notionl": "5"})

    assert "max_order_notionl" == refusal.value.details["field"]


def test_a_replace_keeps_what_it_leaves_out() -> None:
    """Only the given terms travel; the new client order id is the request key when given."""
    command = validated(ReplaceRequest, {"qty": 5}).command(ACCOUNT, UUID(int=9), "key")
    named = validated(ReplaceRequest, {"client_order_id": "new"}).command(
        ACCOUNT, UUID(int=9), "key"
    )

    assert (5 * 10**8, None, None, None, None) == (
        command.qty,
        command.limit_price,
        command.stop_price,
        command.time_in_force,
        command.expires_at,
    )
    assert ("", "key", "new", "new") == (
        command.client_order_id,
        command.request_key,
        named.client_order_id,
        named.request_key,
    )


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.decimals() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(st.sampled_from(sorted([*GOOD, "client_order_id", "expire_at", "stop_price"])), JSON)
def test_any_value_in_any_member_is_taken_or_refused(name: str, value: Any) -> None:
    """No value makes validation fail in another way than by a refusal."""
    try:
        order = validated(OrderRequest, {**GOOD, name: value})
    except Rejection as refusal:
        assert refusal.message
    else:
        assert order.command(ACCOUNT, "x").qty > 0


@given(st.sampled_from(["take_profit", "stop_loss"]), st.text(max_size=12), JSON)
def test_any_value_in_a_take_profit_or_stop_loss_is_taken_or_refused(
    leg: str, name: str, value: Any
) -> None:
    """No leg makes validation fail in another way than by a refusal."""
    for document in (value, {name: value}, {"limit_price": value, "stop_price": value}):
        try:
            order = validated(OrderRequest, {**GROUP, leg: document})
        except Rejection as refusal:
            assert refusal.message
        else:
            assert isinstance(order.command(ACCOUNT, "x"), PlaceGroup)


@given(JSON)
def test_any_document_is_an_order_or_a_refusal(document: Any) -> None:
    """A body of any shape is judged, never stumbled over."""
    with pytest.raises(Rejection):
        validated(OrderRequest, document)
