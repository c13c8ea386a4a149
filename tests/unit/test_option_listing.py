"""Options are listed singly or by a chain, under the symbol of their terms, or refused by name."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from api.instrument_schemas import InstrumentRequest, OptionChainRequest
from api.schemas import validated
from application.commands import ChangeInstrument, ListInstrument, ListOptionChain
from domain.errors import Rejection
from domain.terms import ExerciseStyle, Right
from tests.model.desk_harness import DeskHarness, shares, trading_desk, wire

EXPIRY = 20261218
CALL = "X261218C00150000"


def option(venue: DeskHarness, **terms: Any) -> ListInstrument:
    """A call on X at 150, as an operator lists it."""
    values: dict[str, Any] = {
        "symbol": CALL,
        "asset_class": "us_option",
        "calendar": "",
        "price_decimals": 2,
        "reference_price": 0,
        "settlement_cycle": 1,
        "multiplier": 100,
        "underlying": "X",
        "right": int(Right.CALL),
        "strike": wire(150),
        "expiry": EXPIRY,
        "style": int(ExerciseStyle.AMERICAN),
    }
    return venue.listing(**{**values, **terms})


def chain(**terms: Any) -> ListOptionChain:
    """Calls and puts on X, on two days at two strikes."""
    values: dict[str, Any] = {
        "underlying": "X",
        "expiries": (EXPIRY, 20270115),
        "strikes": (wire("97.5"), wire(150)),
        "rights": (int(Right.CALL), int(Right.PUT)),
        "tick": wire("0.01"),
    }
    return ListOptionChain(**{**values, **terms})


def test_option_is_listed_with_the_terms_of_its_symbol() -> None:
    """It trades on its underlying's calendar, and says what it is a right to."""
    venue = trading_desk()

    venue.ok(option(venue))

    listed = venue.desk.markets.named(CALL).instrument
    underlying = venue.desk.markets.named("X").instrument
    assert listed.is_option and not underlying.is_option
    assert (underlying.id, underlying.calendar) == (listed.underlying_id, listed.calendar)
    assert (100, int(Right.CALL), wire(150), EXPIRY, int(ExerciseStyle.AMERICAN)) == (
        listed.multiplier,
        listed.right,
        listed.strike,
        listed.expiry,
        listed.style,
    )


@pytest.mark.parametrize(
    ("field", "terms"),
    [
        ("asset_class", {"asset_class": "us_equity"}),
        ("underlying", {"underlying": "NOBODY"}),
        ("multiplier", {"multiplier": 0}),
        ("multiplier", {"multiplier": 10_001}),
        ("right", {"right": 2}),
        ("right", {"right": -1}),
        ("style", {"style": 7}),
        ("strike", {"strike": 0}),
        ("strike", {"strike": -wire(150)}),
        ("strike", {"strike": wire("150.0005")}),
        ("strike", {"strike": wire(100_000)}),
        ("expiry", {"expiry": 20261131}),
        ("expiry", {"expiry": 0}),
        ("expiry", {"expiry": 21001218}),
        ("expiry", {"expiry": 20261120, "symbol": "X261120C00150000"}),
        ("lot", {"lot": shares("0.5")}),
        ("lot", {"lot": shares(2)}),
        ("calendar", {"calendar": "XNYS"}),
        ("symbol", {"symbol": "X261218C00150001"}),
        ("symbol", {"symbol": "X261218P00150000"}),
        ("tick", {"tick": 0}),
        ("collar_bps", {"collar_bps": 10_000}),
    ],
)
def test_option_with_terms_that_do_not_fit_is_refused_by_the_field(
    field: str, terms: dict[str, Any]
) -> None:
    """Nothing is listed then."""
    venue = trading_desk()

    reply = venue.send(option(venue, **terms))

    assert reply.refusal is not None
    assert ("INVALID_FIELD", field) == (reply.refusal.code, reply.refusal.details["field"])
    assert 1 == len(venue.desk.markets.by_id)


def test_option_on_an_option_is_refused() -> None:
    """Neither singly nor by a chain."""
    venue = trading_desk()
    venue.ok(option(venue))

    for command in (option(venue, underlying=CALL), chain(underlying=CALL)):
        reply = venue.send(command)
        assert reply.refusal is not None
        assert "underlying" == reply.refusal.details["field"]


@pytest.mark.parametrize(
    "terms",
    [
        {"strike": wire(150)},
        {"expiry": EXPIRY},
        {"multiplier": 100},
        {"right": 1},
        {"style": 1},
        {"asset_class": "us_option"},
    ],
)
def test_what_is_no_option_has_none_of_its_terms(terms: dict[str, Any]) -> None:
    """A share with a strike would be a slip of the hand."""
    venue = trading_desk()

    reply = venue.send(venue.listing("Y", **terms))

    assert reply.refusal is not None
    assert "INVALID_FIELD" == reply.refusal.code


def test_option_listed_again_is_the_one_that_is_there_unless_its_terms_are_others() -> None:
    """What can never change must be the same."""
    venue = trading_desk()
    first = venue.ok(option(venue))

    again = venue.ok(option(venue))
    other = venue.send(option(venue, multiplier=10))

    assert again.duplicate and first.result == again.result
    assert other.refusal is not None and "INSTRUMENT_EXISTS" == other.refusal.code


def test_option_chain_lists_every_expiry_with_every_strike_and_right() -> None:
    """By expiry, strike and right, each under its symbol and a name that says it."""
    venue = trading_desk()

    reply = venue.ok(chain())

    assert reply.result is not None
    assert [
        f"X{day}{right}{strike}"
        for day in ("261218", "270115")
        for strike in ("00097500", "00150000")
        for right in "PC"
    ] == [one["symbol"] for one in reply.result["contracts"]]
    call = venue.desk.markets.named("X261218C00097500").instrument
    assert "X Dec 18 2026 97.5 Call" == call.name
    assert (9_999, 5_000, True, 1) == (
        call.collar_bps,
        call.protection_bps,
        call.shortable,
        call.settlement_cycle,
    )


def test_option_chain_listed_in_part_is_completed() -> None:
    """What is there stays as it is, and the same chain again changes nothing."""
    venue = trading_desk()
    venue.ok(chain(expiries=(EXPIRY,), strikes=(wire(150),)))
    there = {market.instrument.id for market in venue.desk.markets.by_id.values()}

    whole = venue.ok(chain())
    events = len(venue.log)
    again = venue.ok(chain())

    assert 8 == len(whole.result["contracts"])  # type: ignore[index]
    assert there < {market.instrument.id for market in venue.desk.markets.by_id.values()}
    assert (events, True, whole.result) == (len(venue.log), again.duplicate, again.result)


@pytest.mark.parametrize(
    ("field", "terms"),
    [
        ("underlying", {"underlying": ""}),
        ("underlying", {"underlying": "NOBODY"}),
        ("expiries", {"expiries": ()}),
        ("expiries", {"expiries": (EXPIRY, EXPIRY)}),
        ("expiries", {"expiries": (EXPIRY, 20261120)}),
        ("expiries", {"expiries": (20261131,)}),
        ("strikes", {"strikes": ()}),
        ("strikes", {"strikes": (wire(150), 0)}),
        ("strikes", {"strikes": tuple(map(wire, range(1, 102)))}),
        ("rights", {"rights": ()}),
        ("rights", {"rights": (3,)}),
        ("style", {"style": 2}),
        ("multiplier", {"multiplier": 0}),
        ("settlement_cycle", {"settlement_cycle": 31}),
    ],
)
def test_option_chain_is_listed_whole_or_refused_by_the_field(
    field: str, terms: dict[str, Any]
) -> None:
    """One bad contract, or one too many, and none of them is there."""
    venue = trading_desk()

    reply = venue.send(chain(**terms))

    assert reply.refusal is not None
    assert ("INVALID_FIELD", field) == (reply.refusal.code, reply.refusal.details["field"])
    assert 1 == len(venue.desk.markets.by_id)


def test_option_chain_may_have_four_hundred_contracts() -> None:
    """And no more in one command."""
    venue = trading_desk()
    venue.checked = False

    reply = venue.ok(chain(strikes=tuple(map(wire, range(1, 101)))))

    assert 400 == len(reply.result["contracts"])  # type: ignore[index]
    venue.check()


def test_option_root_of_a_symbol_is_its_letters_and_digits() -> None:
    """BRK.B has options named BRKB; what has no root of six has none."""
    venue = trading_desk()
    venue.ok(venue.listing("BRK.B"))
    venue.ok(venue.listing("TOOLONGNAME"))

    found = venue.ok(chain(underlying="BRK.B", expiries=(EXPIRY,), strikes=(wire(400),)))
    none = venue.send(chain(underlying="TOOLONGNAME"))

    assert found.result is not None
    assert "BRKB261218P00400000" == found.result["contracts"][0]["symbol"]
    assert none.refusal is not None and "underlying" == none.refusal.details["field"]


def test_option_keeps_the_symbol_of_its_terms() -> None:
    """Its underlying may be renamed; what was listed on it stays what it is called."""
    venue = trading_desk()
    venue.ok(option(venue))

    refused = venue.send(ChangeInstrument(CALL, new_symbol="OTHER"))
    venue.ok(ChangeInstrument("X", new_symbol="XX"))

    assert refused.refusal is not None
    assert "new_symbol" == refused.refusal.details["field"]
    assert CALL == venue.desk.markets.named(CALL).instrument.symbol
    assert (
        "XX270115C00150000"
        == (
            venue.ok(
                chain(
                    underlying="XX",
                    expiries=(20270115,),
                    strikes=(wire(150),),
                    rights=(int(Right.CALL),),
                )
            ).result["contracts"][0]["symbol"]  # type: ignore[index]
        )
    )


LISTING: dict[str, Any] = {"symbol": CALL, "name": "A call", "tick": "0.01", "lot": "1"}
TERMS: dict[str, Any] = {
    "underlying": "X",
    "expiry": "2026-12-18",
    "right": "call",
    "strike": "150",
}


def test_option_request_becomes_its_command_with_what_options_are_listed_with() -> None:
    """What nobody says is as in a chain; what somebody says stands."""
    plain = ListInstrument(**validated(InstrumentRequest, {**LISTING, "option": TERMS}).terms())
    said = {**LISTING, "collar_bps": 500, "price_decimals": 4, "settlement_cycle": 2}
    terms = {**TERMS, "style": "european", "multiplier": 10, "right": "put"}
    other = ListInstrument(**validated(InstrumentRequest, {**said, "option": terms}).terms())

    assert ("us_option", "", 2, 9_999, 5_000, True, 1, 10_000) == (
        plain.asset_class,
        plain.calendar,
        plain.price_decimals,
        plain.collar_bps,
        plain.protection_bps,
        plain.shortable,
        plain.settlement_cycle,
        plain.initial_margin_bps,
    )
    assert ("X", EXPIRY, 1, wire(150), 1, 100) == (
        plain.underlying,
        plain.expiry,
        plain.right,
        plain.strike,
        plain.style,
        plain.multiplier,
    )
    assert (500, 4, 2, 0, 0, 10) == (
        other.collar_bps,
        other.price_decimals,
        other.settlement_cycle,
        other.style,
        other.right,
        other.multiplier,
    )
    share = ListInstrument(**validated(InstrumentRequest, LISTING).terms())
    assert ("us_equity", "24/7", "", 1) == (
        share.asset_class,
        share.calendar,
        share.underlying,
        share.multiplier,
    )


CHAIN: dict[str, Any] = {
    "underlying": "X",
    "expiries": ["2026-12-18", "2027-01-15"],
    "strikes": ["97.5", 150],
    "tick": "0.01",
}


def test_option_chain_request_becomes_the_command_of_a_chain() -> None:
    """Of calls and puts, unless it says one."""
    command = ListOptionChain(**validated(OptionChainRequest, CHAIN).terms())
    puts = validated(OptionChainRequest, {**CHAIN, "rights": ["put"], "style": "european"})

    assert replace(chain(), rights=(1, 0)) == command
    assert ((0,), 0) == (puts.terms()["rights"], puts.terms()["style"])


@pytest.mark.parametrize(
    ("field", "model", "terms"),
    [
        ("option.expiry", InstrumentRequest, {"option": {**TERMS, "expiry": "18.12.2026"}}),
        ("option.expiry", InstrumentRequest, {"option": {**TERMS, "expiry": 20261218}}),
        ("option.right", InstrumentRequest, {"option": {**TERMS, "right": "both"}}),
        ("option.strike", InstrumentRequest, {"option": {**TERMS, "strike": "NaN"}}),
        ("option.strike", InstrumentRequest, {"option": {**TERMS, "strike": 0}}),
        ("option.multiplier", InstrumentRequest, {"option": {**TERMS, "multiplier": "100"}}),
        ("option.dividend", InstrumentRequest, {"option": {**TERMS, "dividend": "1"}}),
        ("expiries", OptionChainRequest, {"expiries": ["2026-02-30"]}),
        ("expiries", OptionChainRequest, {"expiries": []}),
        ("strikes", OptionChainRequest, {"strikes": ["-1"]}),
        ("strikes", OptionChainRequest, {"strikes": [1] * 401}),
        ("rights", OptionChainRequest, {"rights": ["call", "put", "call"]}),
        ("style", OptionChainRequest, {"style": "bermudan"}),
    ],
)
def test_option_request_that_says_what_cannot_be_is_refused_by_its_member(
    field: str, model: Any, terms: dict[str, Any]
) -> None:
    """Before any command is made of it."""
    good = LISTING if model is InstrumentRequest else CHAIN
    with pytest.raises(Rejection) as refusal:
        validated(model, {**good, **terms})

    assert refusal.value.details["field"].startswith(field)
