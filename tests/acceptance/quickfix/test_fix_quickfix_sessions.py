"""quickfix, as it comes from its authors, loses its connection and resumes where it was."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from api.fix.logon.passwords import hash_of
from infrastructure.embedded_server import EmbeddedServer
from tests.fix_served import FixDoor, fix_served
from tests.quickfix_client import QuickFixClient, now

pytestmark = pytest.mark.soak
PASSWORD = "a password of the tests"
MadeClient = Callable[[str], QuickFixClient]


@pytest.fixture(scope="module")
def door(postgres: EmbeddedServer) -> Iterator[FixDoor]:
    """One venue with a FIX door for all tests of this file."""
    with fix_served(postgres.dsn()) as door:
        yield door


@pytest.fixture
def made(door: FixDoor, tmp_path: Path) -> Iterator[MadeClient]:
    """Makes clients of sessions that were agreed; what they refused in the end is nothing."""
    clients: list[QuickFixClient] = []

    def make(name: str) -> QuickFixClient:
        door.agree(name, door.venue.trader(), password=hash_of(PASSWORD))
        clients.append(QuickFixClient(tmp_path, door.port, name, PASSWORD))
        return clients[-1]

    yield make
    for client in clients:
        client.log_off()
        assert [] == client.refused


def buy(client: QuickFixClient, symbol: str, cl_ord_id: str) -> None:
    """A limit buy of 10 at 99 that rests."""
    fields = {11: cl_ord_id, 55: symbol, 54: "1", 60: now(), 38: "10", 40: "2", 44: "99", 59: "1"}
    client.send("D", fields)
    client.answer({11: cl_ord_id, 150: "0"})


def sell(door: FixDoor, symbol: str) -> None:
    """Another trader sells 10 at 99, over HTTP."""
    other = door.venue.trader()
    door.venue.hold(other, symbol, "1000")
    order = {"symbol": symbol, "side": "sell", "type": "limit", "qty": "10", "limit_price": "99"}
    with door.venue.client(other) as http:
        sold = http.post("/v2/orders", json=order | {"time_in_force": "gtc"})
        assert sold.status_code == 200, sold.text


def content(fields: dict[int, str]) -> dict[int, str]:
    """A message without what tells two sendings of it apart."""
    return {tag: value for tag, value in fields.items() if tag not in (9, 10, 43, 52, 122)}


def test_wrong_password_is_not_let_in(made: MadeClient):
    """No logon is answered, and the right password is let in afterwards."""
    client = made("WRONG")
    client.password = "another"
    client.start()
    client.until(lambda: client.logouts)
    assert [] == client.logons

    client.log_off()
    client.password = PASSWORD
    client.log_on()


def test_fill_while_away_is_told_at_the_next_logon(made: MadeClient, door: FixDoor):
    """Once, under a new number, without a reset."""
    client, symbol = made("AWAY"), door.venue.instrument()
    client.log_on()
    buy(client, symbol, "a1")
    client.log_off()
    sell(door, symbol)
    client.log_on()

    client.answer({11: "a1", 150: "F", 39: "2"})
    assert 1 == sum(one.get(150) == "F" for one in client.received)
    assert client.session.getExpectedTargetNum() > 3


def test_connection_that_is_cut_is_resumed(made: MadeClient, door: FixDoor):
    """Without a logout on either side: orders stay, numbers go on."""
    client, symbol = made("CUT"), door.venue.instrument()
    client.log_on()
    buy(client, symbol, "c1")
    number = client.session.getExpectedSenderNum()
    client.log_off(in_order=False)
    client.log_on()
    buy(client, symbol, "c2")

    assert client.session.getExpectedSenderNum() > number
    client.send("H", {11: "c1", 55: symbol, 54: "1"})
    client.answer({11: "c1", 150: "I", 39: "0"})


def test_messages_that_a_client_has_lost_are_sent_again(made: MadeClient, door: FixDoor):
    """It asks for them at its logon, and gets them as they were, as possible duplicates."""
    client, symbol = made("LOST"), door.venue.instrument()
    client.log_on()
    for number in range(5):
        buy(client, symbol, f"l{number}")
    first = [one for one in client.received if one[35] == "8"]
    # quickfix counts a message after it was handed on.
    client.until(lambda: client.session.getExpectedTargetNum() > int(first[-1][34]))
    client.session.setNextTargetMsgSeqNum(int(first[2][34]))
    client.log_off(in_order=False)
    client.received.clear()
    client.log_on()

    client.until(lambda: len(client.received) >= 3)
    assert ["Y"] * 3 == [one.get(43) for one in client.received[:3]]
    assert [content(one) for one in first[2:]] == [content(one) for one in client.received[:3]]


def test_messages_that_the_venue_has_lost_are_asked_for(made: MadeClient, door: FixDoor):
    """The client fills the gap, and both go on."""
    client, symbol = made("GAP"), door.venue.instrument()
    client.log_on()
    client.session.setNextSenderMsgSeqNum(client.session.getExpectedSenderNum() + 3)
    buy(client, symbol, "g1")

    assert any(one[35] == "2" for one in client.session_messages)


def test_venue_that_restarts_is_met_again_without_a_reset(made: MadeClient, door: FixDoor):
    """quickfix connects anew by itself and resumes."""
    client, symbol = made("RESTART"), door.venue.instrument()
    client.log_on()
    buy(client, symbol, "r1")
    before = len(client.logons)
    door.restart()
    client.until(lambda: len(client.logons) > before)
    buy(client, symbol, "r2")

    assert not any(one.get(141) == "Y" for one in client.session_messages)


def test_reset_that_a_client_asks_for_begins_both_numbers_at_one(made: MadeClient, door: FixDoor):
    """What was told before comes once more as a possible resend, if it may not have arrived."""
    client, symbol = made("RESET"), door.venue.instrument()
    client.log_on()
    buy(client, symbol, "t1")
    client.log_off(in_order=False)
    client.received.clear()
    client.log_on(reset=True)
    buy(client, symbol, "t2")

    assert "Y" == client.session_messages[-1].get(141)
    assert ["2", "3"] == [one[34] for one in client.received]
    assert [("t1", "Y"), ("t2", None)] == [(one[11], one.get(97)) for one in client.received]
