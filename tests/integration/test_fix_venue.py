"""A whole venue over FIX, its numbers on PostgreSQL: trading, being away, TLS, operators."""

from __future__ import annotations

import asyncio
import hashlib
import json
import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from typer.testing import CliRunner

from api.cli.command_line import app
from api.cli.exit_codes import Exit
from api.fix.codec import Message
from api.fix.logon.certificates import certificate_of, server_context
from api.fix.ports import PeerCertificate, SessionId
from api.fix.settings.gateway import Tls
from api.fix.settings.templates import FixSettingsError
from infrastructure.database import EmbeddedServer
from tests.fix_client import Away, FixClient
from tests.fix_served import FixDoor, fix_served, play
from tests.fix_settings import CHEAP_HASH, PASSWORD
from tests.venue import Trader


class Certificates(NamedTuple):
    """A venue's certificate, a client's, and who has signed them, as files."""

    venue: Path
    client: Path
    signer: Path
    subject: str = ""
    fingerprint: str = ""

    def tls(self) -> Tls:
        """The door that they are for."""
        return Tls(port=1, certificate=self.venue, key=self.venue, clients=self.signer)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Made for this run alone."""
    home = tmp_path_factory.mktemp("certificates")
    authority = trustme.CA()
    venue = authority.issue_cert("127.0.0.1")
    client = authority.issue_cert(common_name="alpha", organization_name="Alpha Ltd, London")
    files = Certificates(home / "venue.pem", home / "client.pem", home / "signer.pem")
    venue.private_key_and_cert_chain_pem.write_to_path(files.venue)
    client.private_key_and_cert_chain_pem.write_to_path(files.client)
    authority.cert_pem.write_to_path(files.signer)
    shown = x509.load_pem_x509_certificate(client.cert_chain_pems[0].bytes())
    return files._replace(
        subject=shown.subject.rfc4514_string(),
        fingerprint=shown.fingerprint(hashes.SHA256()).hex(":"),
    )


@pytest.fixture(scope="module")
def door(postgres: EmbeddedServer, certificates: Certificates) -> Iterator[FixDoor]:
    """One venue for all of them."""
    with fix_served(postgres.dsn(), server_context(certificates.tls())) as served:
        served.venue.instrument("FXO")
        yield served


def order(cl_ord_id: str, side: str, price: str, qty: str = "10") -> list[tuple[int, bytes]]:
    """A limit order of FXO."""
    return [
        (11, cl_ord_id.encode()),
        (55, b"FXO"),
        (54, side.encode()),
        (60, time.strftime("%Y%m%d-%H:%M:%S", time.gmtime()).encode()),
        (38, qty.encode()),
        (40, b"2"),
        (44, price.encode()),
        (59, b"1"),
    ]


def client(door: FixDoor, target: str, **said: object) -> FixClient:
    """A client of the plain port."""
    return FixClient(door.port, target, PASSWORD, **said)  # type: ignore[arg-type]


def shown(message: Message) -> dict[int, str]:
    """A report's fields."""
    pairs = zip(message.tags, message.values, strict=True)
    return {tag: value.decode() for tag, value in pairs}


def seller(door: FixDoor, qty: str = "1000") -> Trader:
    """A trader with something to sell."""
    trader = door.venue.trader()
    door.venue.hold(trader, "FXO", qty)
    return trader


def test_order_over_fix_is_one_of_the_venue(door: FixDoor) -> None:
    """It is told over FIX when it is committed, and seen over HTTP under its ClOrdID."""
    trader = door.venue.trader()
    door.agree("TRADES", trader)

    async def scene() -> dict[int, str]:
        one = client(door, "TRADES")
        await one.log_on()
        one.send(b"D", order("first", "1", "99.5"))
        await one.until(lambda: one.received)
        await one.log_out()
        assert [] == one.memory.wrong
        return shown(one.received[0])

    report = play(scene())

    assert ("first", "0", "0", "10", "MAIN") == tuple(report[tag] for tag in (11, 150, 39, 151, 1))
    with door.venue.client(trader) as http:
        seen = http.get("/v2/orders:by_client_order_id", params={"client_order_id": "first"}).json()
    assert (report[37], "new", "99.5000") == (seen["id"], seen["status"], seen["limit_price"])


def test_readme_connects_with_fix(door: FixDoor, capsys: pytest.CaptureFixture[str]) -> None:
    """Ten lines as they stand there, but for the port: a logon, an order, its report."""
    door.venue.instrument("ACME")
    door.agree("DEMO", door.venue.trader(), heartbeat={"least": 1})
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    block = readme.partition("**Connect with FIX**")[2].split("\n\n")[1]
    lines = [line.removeprefix("    ") for line in block.splitlines()]
    assert 10 == len(lines)
    names = {"PASSWORD": PASSWORD.encode()}

    exec("\n".join(lines).replace("9878", str(door.port)), names)

    said = capsys.readouterr().out.splitlines()
    assert "|35=A|" in said[0] and "|11=fix-1|" in said[1] and "|150=0|" in said[1]
    wire = names["wire"]
    assert isinstance(wire, socket.socket)
    while wire.recv(4096):
        pass
    wire.close()


def test_what_happens_while_a_client_is_away_is_told_when_it_is_back(door: FixDoor) -> None:
    """With the numbers that follow those it has, also after the gateway was started anew."""
    maker, taker = seller(door), door.venue.trader()
    door.agree("AWAY", maker)

    async def rest() -> FixClient:
        one = client(door, "AWAY")
        await one.log_on()
        for n in range(5):
            one.send(b"D", order(f"rest-{n}", "2", f"10{n}"))
        await one.until(lambda: len(one.received) == 5)
        await one.hang_up()
        return one

    async def come_back(one: FixClient) -> None:
        await one.log_on()
        await one.until(lambda: len(one.received) == 8)
        await one.log_out()

    away = play(rest())
    with door.venue.client(taker) as http:
        body = {"symbol": "FXO", "side": "buy", "qty": "25", "type": "limit"}
        body |= {"limit_price": "102", "time_in_force": "gtc"}
        assert 200 == http.post("/v2/orders", json=body).status_code
    door.restart()
    play(come_back(away))

    fills = [shown(message) for message in away.received[5:]]
    assert [("rest-0", "2", "10"), ("rest-1", "2", "10"), ("rest-2", "1", "5")] == [
        (fill[11], fill[39], fill[14]) for fill in fills
    ]
    assert [] == away.memory.wrong


def test_client_that_lost_its_messages_is_sent_them_again_as_they_were(door: FixDoor) -> None:
    """From the log, byte for byte but for what says that it is a second sending."""
    door.agree("FORGETS", door.venue.trader())

    async def scene() -> None:
        one = client(door, "FORGETS")
        await one.log_on()
        for n in range(20):
            one.send(b"D", order(f"o{n}", "1", "50"))
        await one.until(lambda: len(one.received) == 20)
        first = [message.seq_num for message in one.received]
        one.received.clear()
        one.memory.next_in = first[3]
        one.send(b"2", [(7, b"%d" % first[3]), (16, b"0")])
        await one.until(lambda: len(one.received) == 17)
        assert first[3:] == [message.seq_num for message in one.received]
        assert {b"Y"} == {message.get(43) for message in one.received}
        assert [] == one.memory.wrong
        await one.log_out()

    play(scene())


@pytest.mark.parametrize("known_by", ["subject", "common name", "fingerprint"])
def test_client_logs_on_by_its_certificate(
    door: FixDoor, certificates: Certificates, known_by: str
) -> None:
    """Over TLS and without a password; not without the certificate, and not on the plain port."""
    certificate = {
        "subject": {"subject": certificates.subject},
        "common name": {"subject": "alpha"},
        "fingerprint": {"fingerprint": certificates.fingerprint},
    }[known_by]
    target = "CERT-" + known_by.replace(" ", "-")
    door.agree(target, door.venue.trader(), password=None, certificate=certificate)

    def context(*, with_certificate: bool) -> ssl.SSLContext:
        made = ssl.create_default_context(cafile=str(certificates.signer))
        if with_certificate:
            made.load_cert_chain(certificates.client)
        return made

    async def scene() -> None:
        for ssl_context in (context(with_certificate=False), None):
            port = door.port if ssl_context is None else door.tls_port
            stranger = FixClient(port, target, "", ssl=ssl_context)
            with pytest.raises(Away):
                await stranger.log_on()
        known = FixClient(door.tls_port, target, "", ssl=context(with_certificate=True))
        answer = await known.log_on()
        assert b"A" == answer.msg_type
        known.send(b"D", order("tls", "1", "50"))
        await known.until(lambda: known.received)
        await known.log_out()

    play(scene())


def test_certificate_is_read_as_rfc_4514_writes_it() -> None:
    """The last part first, and what separates parts is escaped within them."""

    class Connection:
        """As asyncio's ssl_object answers."""

        def getpeercert(self, binary_form: bool = False) -> object:
            """The certificate."""
            if binary_form:
                return b"whole"
            return {
                "subject": (
                    (("organizationName", "Alpha Ltd, London"),),
                    (("commonName", "#alpha"), ("userId", "7")),
                )
            }

    assert certificate_of(Connection()) == PeerCertificate(
        "CN=\\#alpha+UID=7,O=Alpha Ltd\\, London", "#alpha", hashlib.sha256(b"whole").hexdigest()
    )
    assert None is certificate_of(None)


def test_file_of_the_tls_door_that_cannot_be_used_is_named(
    certificates: Certificates, tmp_path: Path
) -> None:
    """Before anybody is served."""
    (tmp_path / "empty.pem").touch()
    for name, tls in {
        "tls.certificate": certificates.tls().model_copy(update={"key": tmp_path / "none.pem"}),
        "tls.clients": certificates.tls().model_copy(update={"clients": tmp_path / "empty.pem"}),
    }.items():
        with pytest.raises(FixSettingsError, match=f"gateway: {name}"):
            server_context(tls)


class Operator:
    """`nexus fix` against a venue of the tests."""

    def __init__(self, door: FixDoor, file: Path, patch: pytest.MonkeyPatch) -> None:
        patch.setenv("NEXUS_DATABASE_URL", door.dsn)
        patch.setenv("NEXUS_SCHEMA", door.venue.schema)
        patch.setenv("NEXUS_FIX_CONFIG", str(file))
        self._runner = CliRunner()

    def __call__(self, *arguments: str, code: Exit = Exit.OK) -> list[str]:
        """Run a command; its lines."""
        done = self._runner.invoke(app, ["fix", *arguments])
        assert code == done.exit_code, done.output
        return done.output.splitlines()


def test_operator_sees_resets_and_reads_a_session(
    door: FixDoor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Numbers, what the client has seen, and what it was sent; and begins its numbers anew."""
    trader = door.venue.trader()
    name = door.agree("WATCHED", trader)
    hashed = door.templates[name].password
    assert hashed is not None
    file = tmp_path / "fix.toml"
    file.write_text(
        '[[session]]\nsender = "NEXUS"\ntarget = "WATCHED"\n'
        f'password = "{hashed.get_secret_value()}"\naccounts.MAIN = "{trader.account_id}"\n'
    )
    nexus = Operator(door, file, monkeypatch)
    one = client(door, "WATCHED")

    async def trade(count: int) -> None:
        await one.log_on(reset=not one.memory.sent)
        before = len(one.received)
        for n in range(count):
            one.send(b"D", order(f"w{one.memory.next_out}-{n}", "1", "50"))
        await one.until(lambda: len(one.received) == before + count)
        await one.log_out()

    play(trade(3))
    listed = json.loads(nexus("sessions", "--json")[-1])
    (row,) = (row for row in listed["sessions"] if row["session"] == "NEXUS->WATCHED")
    assert (one.memory.next_in, one.memory.next_out) == (row["next_out"], row["next_in"])
    # Who leaves has not said whether the last reports have come.
    assert ("trade", 3, 0) == (row["kind"], row["unconfirmed"], row["uncertain"])

    lines = [json.loads(line) for line in nexus("log", "NEXUS", "WATCHED", "--json")]
    assert [message.seq_num for message in one.received] == [line["seq_num"] for line in lines]
    assert all(line["as_sent_first"] for line in lines)
    assert lines[0]["message"].startswith(f"35=8|34={lines[0]['seq_num']}|37=")
    everything = "\n".join([*nexus("sessions"), *nexus("log", "NEXUS", "WATCHED")])
    assert PASSWORD not in everything and hashed.get_secret_value() not in everything

    assert ["NEXUS->WATCHED begins with 1 on both sides"] == nexus("reset", "NEXUS", "WATCHED")
    listed = json.loads(nexus("sessions", "--json")[-1])
    (row,) = (row for row in listed["sessions"] if row["session"] == "NEXUS->WATCHED")
    assert (1, 1, 3) == (row["next_in"], row["next_out"], row["uncertain"])

    async def resume() -> None:
        await one.log_on(reset=True)
        one.send(b"D", order("anew", "1", "50"))
        await one.until(lambda: len(one.received) == 7)
        await one.log_out()

    play(resume())
    first, again, last = one.received[:3], one.received[3:6], one.received[6]
    assert [shown(message)[17] for message in first] == [shown(message)[17] for message in again]
    assert [b"Y"] * 3 == [message.get(97) for message in again]
    assert (b"anew", None) == (last.get(11), last.get(97))
    assert [2, 3, 4, 5] == [message.seq_num for message in one.received[3:]]
    assert [] == one.memory.wrong


def test_session_that_there_is_not_is_said(
    door: FixDoor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By every command that names one; a wrong file is a wrong setting."""
    nexus = Operator(door, tmp_path / "none.toml", monkeypatch)

    assert "there is no session NEXUS->NOBODY yet" in nexus(
        "reset", "NEXUS", "NOBODY", code=Exit.CHECK_FAILED
    )[0].replace("\n", "")
    monkeypatch.delenv("NEXUS_FIX_CONFIG")
    assert nexus("sessions")


def test_drop_copy_is_told_the_past_of_its_account(
    door: FixDoor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From where its template says, whoever traded; and once more when an operator says so."""
    trader = door.venue.trader()
    with door.venue.client(trader) as http:
        for n in range(3):
            body = {"symbol": "FXO", "side": "buy", "qty": "1", "type": "limit"}
            body |= {"limit_price": "50", "time_in_force": "gtc", "client_order_id": f"http-{n}"}
            assert 200 == http.post("/v2/orders", json=body).status_code
    door.agree("COPY", trader, kind="drop-copy", begins_at=0)
    file = tmp_path / "fix.toml"
    file.write_text(
        '[[session]]\nsender = "NEXUS"\ntarget = "COPY"\nkind = "drop-copy"\nbegins_at = 0\n'
        f'password = "{CHEAP_HASH}"\naccounts.MAIN = "{trader.account_id}"\n'
    )
    nexus = Operator(door, file, monkeypatch)
    one = client(door, "COPY")

    async def told(*, reset: bool = False) -> list[str]:
        before = len(one.received)
        await one.log_on(reset=reset)
        await one.until(lambda: len(one.received) == before + 3)
        one.send(b"D", order("never", "1", "50"))
        await one.until(lambda: len(one.received) == before + 4)
        await one.log_out()
        assert b"j" == one.received[-1].msg_type
        return [shown(message)[11] for message in one.received[before:-1]]

    assert ["http-0", "http-1", "http-2"] == play(told())
    nexus("reset", "NEXUS", "COPY", "--told", "0")
    assert ["http-0", "http-1", "http-2"] == play(told(reset=True))
    assert [] == one.memory.wrong


def test_hundred_sessions_trade_at_once(door: FixDoor) -> None:
    """Each with numbers of its own, all in one store."""
    trader = door.venue.trader()
    names = [f"MANY-{n}" for n in range(100)]
    for name in names:
        door.agree(name, trader)

    async def trade(name: str) -> FixClient:
        one = client(door, name)
        await one.log_on(seconds=50)
        for n in range(3):
            one.send(b"D", order(f"{name}-{n}", "1", "50", qty="1"))
        await one.until(lambda: len(one.received) == 3, 50)
        await one.log_out()
        return one

    async def all_of_them() -> list[FixClient]:
        return await asyncio.gather(*(trade(name) for name in names))

    for name, one in zip(names, play(all_of_them(), 90), strict=True):
        assert [f"{name}-{n}".encode() for n in range(3)] == [m.get(11) for m in one.received]
        assert [2, 3, 4] == [message.seq_num for message in one.received]
        assert [] == one.memory.wrong


def test_two_connections_of_one_session_are_one_too_many(door: FixDoor) -> None:
    """The second is refused while the first stands, and neither's numbers suffer."""
    door.agree("TWICE", door.venue.trader())

    async def scene() -> None:
        one, other = client(door, "TWICE"), client(door, "TWICE")
        await one.log_on()
        with pytest.raises(Away):
            await other.log_on()
        one.send(b"D", order("still", "1", "50"))
        await one.until(lambda: one.received)
        await one.log_out()
        await asyncio.sleep(0)
        assert [] == one.memory.wrong

    play(scene())


def test_gateway_that_leaves_logs_its_sessions_out(door: FixDoor) -> None:
    """With a Logout that says why, and the client goes on with its numbers."""
    door.agree("LEFT", door.venue.trader())
    one = client(door, "LEFT")

    async def scene() -> None:
        await one.log_on()
        restarting = asyncio.create_task(asyncio.to_thread(door.restart))
        await one.until(lambda: [m for m in one.session_messages if m.msg_type == b"5"])
        await one.log_out()
        await restarting
        await one.log_on()
        one.send(b"D", order("after", "1", "50"))
        await one.until(lambda: one.received)
        await one.log_out()
        assert [] == one.memory.wrong

    play(scene())
    assert SessionId("NEXUS", "LEFT") in door.templates
