"""Who may listen to the channels of market data, and what they may say."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from api.ws.market_data import client as client_module
from api.ws.market_data.hub import BOOK, QUOTES
from api.ws.market_data.requests import MOST_SYMBOLS, Credentials
from tests.market_channels import AUTH, Scene, code_and_reason, play_scene, until

# -- who may listen ------------------------------------------------------------------------


def test_market_data_channel_greets_and_takes_a_key_by_message() -> None:
    """In the words of Alpaca's data streams, whichever way the key is said."""

    async def play(played: Scene) -> None:
        socket = played.connect(BOOK)
        assert {"T": "success", "msg": "connected"} == await socket.hear()
        assert {"T": "success", "msg": "authenticated"} == await socket.ask(AUTH)
        assert 403 == (await socket.ask(AUTH))["code"]

        other = played.connect(BOOK)
        await other.hear()
        said = {"action": "authenticate", "data": {"key_id": "trader", "secret_key": "s"}}
        assert "authenticated" == (await other.ask(said))["msg"]

    play_scene(play)


def test_market_data_channel_takes_a_key_of_the_handshake() -> None:
    """Whoever named it in the headers says nothing more; a wrong one is told."""

    async def play(played: Scene) -> None:
        good = played.connect(BOOK, Credentials("trader", "s"))
        assert ["connected", "authenticated"] == [(await good.hear())["msg"] for _ in range(2)]
        wrong = played.connect(BOOK, Credentials("trader", "x"))
        await wrong.hear()
        assert (402, "NOT_AUTHORIZED") == code_and_reason(await wrong.hear())
        assert "authenticated" == (await wrong.ask(AUTH))["msg"]

    play_scene(play)


def test_market_data_channel_tells_a_stranger_nothing() -> None:
    """No key, a wrong one, and an operator's, which is for something else."""

    async def play(played: Scene) -> None:
        socket = played.connect(BOOK)
        await socket.hear()
        symbol = played.symbol()
        asked = await socket.ask({"action": "subscribe", "symbols": [symbol]})
        assert (401, "NOT_AUTHORIZED") == code_and_reason(asked)
        assert (402, "NOT_AUTHORIZED") == code_and_reason(await socket.ask({**AUTH, "secret": "x"}))
        assert (409, "ROLE_REQUIRED") == code_and_reason(await socket.ask({**AUTH, "key": "admin"}))
        assert (401, "NOT_AUTHORIZED") == code_and_reason(
            await socket.ask({"action": "unsubscribe", "symbols": [symbol]})
        )
        played.step(20)
        assert [] == socket.heard()

    play_scene(play)


def test_market_data_channel_ends_who_never_says_who_it_is(monkeypatch) -> None:
    """With the code of the close and an error before it."""
    monkeypatch.setattr(client_module, "AUTHENTICATE_WITHIN", 0.01)

    async def play(played: Scene) -> None:
        socket = played.connect(QUOTES)
        assert (1008, "auth timeout") == await socket.closed
        assert [None, 404] == [one.get("code") for one in socket.heard()]

    play_scene(play)


def test_market_data_channel_ends_with_its_key(monkeypatch) -> None:
    """A key that was revoked is told nothing more."""
    monkeypatch.setattr(client_module, "AUTHENTICATE_WITHIN", 0.01)

    async def play(played: Scene) -> None:
        socket = played.connect(QUOTES, Credentials("trader", "s"))
        await socket.hear()
        await socket.hear()
        await asyncio.sleep(0.03)
        assert not socket.closed.done()
        played.keys.revoke("trader")
        assert (1008, "the key was revoked") == await socket.closed

    play_scene(play)


# -- what may be said ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "field"),
    [
        ("{", "body"),
        (b"\xff\x00", "body"),
        ("", "body"),
        ('{"action": "subscribe", "symbols": [], "symbols": []}', "symbols"),
        ([], "message"),
        ({}, "action"),
        ({"action": "dance"}, "action"),
        ({"action": ["subscribe"]}, "action"),
        ({"action": "auth", "key": 1, "secret": "s"}, "key"),
        ({"action": "subscribe"}, "symbols"),
        ({"action": "subscribe", "symbols": "AAPL"}, "symbols"),
        ({"action": "subscribe", "symbols": [1]}, "symbols"),
        ({"action": "subscribe", "symbols": [""]}, "symbols"),
        ({"action": "subscribe", "symbols": ["A" * 65]}, "symbols"),
        ({"action": "subscribe", "trades": ["AAPL"]}, "trades"),
        ({"action": "subscribe", "symbols": [], "throttle_ms": 9}, "throttle_ms"),
        ({"action": "subscribe", "symbols": [], "throttle_ms": 10_001}, "throttle_ms"),
        ({"action": "subscribe", "symbols": [], "throttle_ms": True}, "throttle_ms"),
        ({"action": "subscribe", "symbols": [], "throttle_ms": "50"}, "throttle_ms"),
        ({"action": "subscribe", "symbols": [], "throttle_ms": 50.5}, "throttle_ms"),
        ({"action": "subscribe", "symbols": [], "heartbeat_ms": 999}, "heartbeat_ms"),
        ({"action": "subscribe", "symbols": [], "heartbeat_ms": 10**30}, "heartbeat_ms"),
        ({"action": "unsubscribe"}, "symbols"),
        ({"action": "unsubscribe", "symbols": [], "throttle_ms": 50}, "throttle_ms"),
    ],
)
def test_market_data_channel_names_what_is_wrong_and_goes_on(message: Any, field: str) -> None:
    """Nothing is subscribed to, and the next message is heard."""

    async def play(played: Scene) -> None:
        socket = await played.trader(BOOK)
        wrong = await socket.ask(message)
        assert ("error", 400, field) == (wrong["T"], wrong["code"], wrong["field"])
        assert field in wrong["msg"]
        after = await socket.ask({"action": "subscribe", "symbols": []})
        assert ("subscription", []) == (after["T"], after["symbols"])

    play_scene(play)


def test_market_data_channel_names_a_symbol_that_nothing_has() -> None:
    """And subscribes to none of those that came with it; what was there stays."""

    async def play(played: Scene) -> None:
        first, second = played.symbol(), played.symbol(1)
        socket = await played.trader(QUOTES, first)
        wrong = await socket.ask({"action": "subscribe", "symbols": [second, "NOPE"]}, "error")
        assert (400, "UNKNOWN_INSTRUMENT") == code_and_reason(wrong)
        assert "NOPE" in wrong["msg"]
        after = await socket.ask({"action": "unsubscribe", "symbols": ["NOPE"]}, "subscription")
        assert [first] == after["symbols"]

    play_scene(play)


def test_market_data_channel_has_room_for_so_many_symbols() -> None:
    """One more is refused by its own code, before any of them is looked for."""

    async def play(played: Scene) -> None:
        socket = await played.trader(BOOK, played.symbol())
        many = [f"S{number}" for number in range(MOST_SYMBOLS)]
        for symbols in (many, [*many, "ONE"]):
            wrong = await socket.ask({"action": "subscribe", "symbols": symbols}, "error")
            assert (405, "INVALID_FIELD") == code_and_reason(wrong)
            assert str(MOST_SYMBOLS) in wrong["msg"]

    play_scene(play)


def test_market_data_channel_answers_in_the_kind_of_frame_last_received() -> None:
    """Text to text, binary to binary, with the same content."""

    async def play(played: Scene) -> None:
        socket = await played.trader(BOOK)
        await socket.ask(b'{"action": "subscribe", "symbols": []}')
        await socket.ask('{"action": "subscribe", "symbols": []}')
        assert ["binary", "text"] == socket.modes[-2:]

    play_scene(play)


def test_market_data_channel_sends_away_who_reads_no_replies() -> None:
    """What waits for it is bounded, whatever it says."""

    async def play(played: Scene) -> None:
        socket = await played.trader(BOOK)
        socket.room.clear()
        for _ in range(client_module.REPLIES_WAITING + 3):
            socket.say({"action": "dance"})
        await until(lambda: played.hub.counts.slow == 1)
        socket.room.set()
        assert (1013, "slow client: replies were not read") == await socket.closed

    play_scene(play)


def test_market_data_channel_waits_for_a_feed_that_is_away_and_then_says_so(monkeypatch) -> None:
    """Who subscribes while it begins anew is told when it is back; who waited too long is told
    that, and subscribed to nothing.
    """
    monkeypatch.setattr(client_module, "PATIENCE_MS", 200)

    async def play(played: Scene) -> None:
        first, second = played.symbol(), played.symbol(1)
        socket = await played.trader(BOOK)
        played.feed.gone = True
        socket.say({"action": "subscribe", "symbols": [first]})
        await until(lambda: played.feed.refused > 0)
        played.feed.gone = False
        assert [first] == (await socket.hear("subscription"))["symbols"]

        played.feed.gone = True
        wrong = await socket.ask({"action": "subscribe", "symbols": [second]}, "error")
        assert (503, "VENUE_UNAVAILABLE") == code_and_reason(wrong)
        assert wrong["retry_after"] > 0
        played.feed.gone = False
        after = await socket.ask({"action": "unsubscribe", "symbols": []}, "subscription")
        assert [first] == after["symbols"]
        assert 1 == played.feed.followed.total()

    play_scene(play)
