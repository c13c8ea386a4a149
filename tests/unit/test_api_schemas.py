"""Request bodies: taken exactly, or refused under the name of the first wrong member."""

from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.schemas import AccountRequest, OrderRequest, ReplaceRequest, validated
from application.commands import PlaceOrder
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
        ("type", {"type": "trailing_stop"}),
        ("time_in_force", {"time_in_force": "opg"}),
        ("time_in_force", {"time_in_force": "cls"}),
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
        ("order_class", {"order_class": "bracket"}),
        ("order_class", {"order_class": "oco"}),
        ("order_class", {"order_class": "mleg"}),
        ("notional", {"notional": "100", "qty": None}),
        ("trail_price", {"trail_price": "1"}),
        ("trail_percent", {"trail_percent": "1"}),
        ("take_profit", {"take_profit": {"limit_price": "1"}}),
        ("stop_loss", {"stop_loss": {"stop_price": "1"}}),
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


@given(JSON)
def test_any_document_is_an_order_or_a_refusal(document: Any) -> None:
    """A body of any shape is judged, never stumbled over."""
    with pytest.raises(Rejection):
        validated(OrderRequest, document)
