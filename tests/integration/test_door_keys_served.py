"""Keys of a served venue: issued and ended through the writer, at once and everywhere."""

import asyncio
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any
from uuid import UUID, uuid4

import httpx
import psycopg
import pytest
import uvicorn
from psycopg import sql
from typer.testing import CliRunner
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from api.app import create_app
from api.cli.exit_codes import Exit
from api.cli.gateway import server_config
from api.cli.keys import app as keys_command
from api.secrets_of_keys import digest_of
from api.wiring import join
from application.audit.trail import trail
from application.audit.verify import verify
from domain.sealed_name import subject_of
from infrastructure.command_bus import UnixSocketBus
from infrastructure.embedded_server import EmbeddedServer
from infrastructure.log.audit_source import PostgresAuditSource, StoredCodec
from infrastructure.log.reader import LogReader
from tests.venue import ADMIN, Trader, Venue, served

AT_ONCE = 0.5


@pytest.fixture(scope="module")
def dsn(postgres: EmbeddedServer) -> str:
    """The store of this file's venue."""
    return postgres.dsn()


@pytest.fixture(scope="module")
def venue(dsn: str) -> Iterator[Venue]:
    """One venue for all tests of this file."""
    with served(dsn) as venue:
        yield venue


@pytest.fixture(scope="module")
def other(venue: Venue, dsn: str) -> Iterator[str]:
    """The address of a second gateway of the venue."""
    with another_gateway(venue, dsn) as address:
        yield address


@contextmanager
def another_gateway(venue: Venue, dsn: str) -> Iterator[str]:
    """A second gateway, with connections and a memory of its own."""
    settings = venue.app.state["gateway"].settings

    @asynccontextmanager
    async def opened() -> Any:
        bus = UnixSocketBus(settings.bus_socket)
        try:
            async with join(settings, dsn, bus) as gateway:
                yield gateway
        finally:
            await bus.close()

    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(server_config(create_app(opened), settings))
    thread = threading.Thread(target=server.run, args=([listening],))
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive(), "the gateway did not start"
            thread.join(0.01)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(20)
        listening.close()


def issued(venue: Venue, **body: Any) -> Trader:
    """A key that an operator has issued."""
    answer = venue.admin.post("/admin/keys", json={"label": "a test", **body})
    assert answer.status_code == 200, answer.text
    told = answer.json()
    return Trader(told["account_id"] or "", told["key_id"], told["secret_key"])


def status_of(address: str, key: Trader, method: str = "GET", path: str = "/v2/account") -> int:
    """What a key gets."""
    return httpx.request(method, address + path, headers=key.headers, json={}).status_code


async def authenticated(address: str, path: str, key: Trader) -> ClientConnection:
    """A socket that has said who it is."""
    ws = await connect(address.replace("http", "ws") + path)
    if path == "/stream":
        data = {"key_id": key.key_id, "secret_key": key.secret}
        await ws.send(json.dumps({"action": "authenticate", "data": data}))
        assert "authorized" == json.loads(await ws.recv())["data"]["status"]
    else:
        await ws.recv()
        await ws.send(json.dumps({"action": "auth", "key": key.key_id, "secret": key.secret}))
        assert "authenticated" in str(await ws.recv())
    return ws


async def ended(ws: ClientConnection) -> tuple[int | None, float]:
    """With which code a socket ends, and when."""
    while True:
        try:
            await ws.recv()
        except ConnectionClosed as end:
            at = time.monotonic()
            await ws.close()
            return end.rcvd.code if end.rcvd else None, at


@pytest.mark.parametrize("change", ["revoke", "rotate"])
def test_streams_of_a_key_that_ends_end_at_once_in_every_gateway(
    venue: Venue, other: str, change: str
) -> None:
    """Trading and market data alike, in the gateway that was asked and in the other one; and no
    request is taken any more by either.
    """
    key = issued(venue, account_id=venue.trader().account_id)

    def end() -> float:
        path = f"/admin/keys/{key.key_id}"
        if change == "revoke":
            done = venue.admin.delete(path)
        else:
            done = venue.admin.post(path + "/rotate", json={})
        assert done.status_code in (200, 204), done.text
        return time.monotonic()

    async def scene() -> None:
        sockets = [
            await authenticated(address, path, key)
            for address in (venue.url, other)
            for path in ("/stream", "/v2/quotes")
        ]
        assert (200, 200) == (status_of(venue.url, key), status_of(other, key))
        ends = [asyncio.create_task(ended(ws)) for ws in sockets]
        done = await asyncio.to_thread(end)
        told = await asyncio.gather(*ends)
        assert {1008} == {code for code, _ in told}
        assert max(at for _, at in told) - done < AT_ONCE
        assert (401, 401) == (status_of(venue.url, key), status_of(other, key))

    asyncio.run(asyncio.wait_for(scene(), 20))


def test_scopes_of_a_key_hold_over_http(venue: Venue) -> None:
    """To read is not to trade, to limit is not to run the venue, and nobody gives what he lacks."""
    account = venue.trader().account_id
    reads = issued(venue, account_id=account, scopes=["read"])
    trades = issued(venue, account_id=account, scopes=["trade"])
    looks = issued(venue, scopes=["read"])
    limits = issued(venue, scopes=["read", "risk"])
    runs = issued(venue, scopes=["admin"])
    limit, switch = f"/admin/accounts/{account}", "/admin/kill-switch"

    def all_of(method: str, path: str, *keys: Trader) -> list[bool]:
        return [status_of(venue.url, key, method, path) != 403 for key in keys]

    assert [True, False] == all_of("GET", "/v2/orders", reads, trades)
    assert [False, True] == all_of("POST", "/v2/orders", reads, trades)
    assert [False, True] == all_of("DELETE", "/v2/orders", reads, trades)
    assert [True, True, False] == all_of("GET", "/admin/accounts", looks, limits, runs)
    assert [False, False, True] == all_of("POST", "/admin/accounts", looks, limits, runs)
    assert [False, True, False] == all_of("PATCH", limit, looks, limits, runs)
    assert [False, True, False] == all_of("PUT", switch, looks, limits, runs)
    assert [False, False, True] == all_of("POST", "/admin/keys", looks, limits, runs)
    refused = httpx.get(f"{venue.url}/v2/orders", headers=trades.headers).json()
    assert ("SCOPE_REQUIRED", "read") == (refused["reason"], refused["details"]["scope"])


def test_an_operator_comes_to_nothing_by_way_of_another_key(venue: Venue) -> None:
    """Neither by one he issues, nor by another secret for one that may do more."""
    runs, limits = issued(venue, scopes=["admin"]), issued(venue, scopes=["risk"])
    with httpx.Client(base_url=venue.url, headers=runs.headers) as client:
        for path, body in (
            ("/admin/keys", {"label": "more", "scopes": ["admin", "risk"]}),
            (f"/admin/keys/{limits.key_id}/rotate", {}),
            ("/admin/keys/admin/rotate", {}),
            ("/admin/keys", {"label": "less", "scopes": ["read"]}),
        ):
            answer = client.post(path, json=body)
            assert (403, "SCOPE_REQUIRED") == (answer.status_code, answer.json()["reason"])
        assert 403 == client.delete("/admin/keys/admin").status_code
        nobody = UUID(int=0)
        of_nobody = client.post(f"/admin/accounts/{nobody}/keys")
        named = client.post("/admin/keys", json={"label": "", "account_id": str(nobody)})
        assert (404, 422) == (of_nobody.status_code, named.status_code)


@pytest.mark.parametrize(
    "by_hand",
    [
        "DELETE FROM api_keys WHERE key_id = %s",
        "UPDATE api_keys SET scopes = '{admin}' WHERE key_id = %s",
    ],
)
def test_an_operator_comes_to_nothing_by_way_of_a_row_that_was_written_by_hand(
    venue: Venue, dsn: str, by_hand: str
) -> None:
    """What a key is for is what its events say: whoever may do less gives it no other secret."""
    lesser = issued(venue, scopes=["read", "admin"])
    greater = issued(venue, scopes=["read", "admin", "risk"])
    with psycopg.connect(dsn) as conn:
        conn.execute(sql.SQL("SET search_path TO {}").format(sql.Identifier(venue.schema)))
        conn.execute(by_hand.encode(), (greater.key_id,))
    path = f"/admin/keys/{greater.key_id}"
    assert 403 == status_of(venue.url, lesser, "POST", f"{path}/rotate")
    assert 403 == status_of(venue.url, lesser, "DELETE", path)
    # And whoever may do as much puts it right.
    assert 200 == venue.admin.post(f"{path}/rotate", json={}).status_code


def test_scopes_of_a_key_hold_over_sockets(venue: Venue) -> None:
    """A key that may only read places nothing over a stream; one that may not read opens none."""
    account = venue.trader().account_id
    reads = issued(venue, account_id=account, scopes=["read"])
    trades = issued(venue, account_id=account, scopes=["trade"])

    async def scene() -> None:
        ws = await authenticated(venue.url, "/stream", reads)
        await ws.send(json.dumps({"action": "order", "id": 1, "data": {}}))
        said = json.loads(await ws.recv())["data"]
        await ws.close()
        assert (403, "SCOPE_REQUIRED") == (said["status"], said["body"]["reason"])
        async with connect(venue.ws_url) as ws:
            data = {"key_id": trades.key_id, "secret_key": trades.secret}
            await ws.send(json.dumps({"action": "authenticate", "data": data}))
            assert "SCOPE_REQUIRED" == json.loads(await ws.recv())["data"]["reason"]
        async with connect(venue.url.replace("http", "ws") + "/v2/quotes") as ws:
            await ws.recv()
            said_as = {"action": "auth", "key": trades.key_id, "secret": trades.secret}
            await ws.send(json.dumps(said_as))
            assert 409 == json.loads(await ws.recv())[0]["code"]

    asyncio.run(asyncio.wait_for(scene(), 20))


def test_a_key_expires_and_is_listed_with_its_last_event(venue: Venue, dsn: str) -> None:
    """It says until when it is good, and never a secret; its life stands in the audit trail."""
    account = venue.trader().account_id
    until = time.time() + 1.5
    moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(until)) + f".{int(until % 1 * 1e6):06}Z"
    key = issued(venue, account_id=account, label="a desk", valid_until=moment)
    past = venue.admin.post(
        "/admin/keys", json={"label": "", "scopes": ["read"], "valid_until": "2020-01-01T00:00:00Z"}
    )
    assert (422, "valid_until") == (past.status_code, past.json()["field"])
    assert 200 == status_of(venue.url, key)

    async def scene() -> float:
        ws = await authenticated(venue.url, "/stream", key)
        return (await ended(ws))[1]

    began = time.monotonic()
    at = asyncio.run(asyncio.wait_for(scene(), 20))
    assert at - began < 1.5 + AT_ONCE
    assert 401 == status_of(venue.url, key)

    listing = venue.admin.get("/admin/keys")
    assert key.secret not in listing.text
    (told,) = (one for one in listing.json() if one["key_id"] == key.key_id)
    assert ("a desk", ["read", "trade"], "expired", "key.issued.v1") == tuple(
        told[name] for name in ("label", "scopes", "status", "last_event")
    )
    venue.admin.delete(f"/admin/keys/{key.key_id}")
    with LogReader(dsn, venue.schema) as log:
        found = trail(log, key.key_id)
        events = [recorded.event for recorded in found.events]
    assert ["key.issued.v1", "key.revoked.v1"] == [event.TOPIC for event in events]
    assert {"key:admin"} == {event.actor for event in events}
    assert key.secret not in repr(events)
    assert digest_of(key.secret) not in [getattr(event, "fingerprint", b"") for event in events]


WRONG = {
    "a row without an event": (
        "INSERT INTO api_keys (key_id, secret_sha256, role, created_at, scopes, version)"
        " VALUES ('by hand', sha256('s'), 'admin', now(), '{admin}', 1)",
        "key by hand is stored, and no event has issued it",
    ),
    "an event without a row": (
        "DELETE FROM api_keys WHERE key_id = %s",
        "was issued, and is not stored",
    ),
    "another digest": (
        "UPDATE api_keys SET secret_sha256 = sha256('s') WHERE key_id = %s",
        "is stored with another secret's digest",
    ),
    "other scopes": (
        "UPDATE api_keys SET scopes = '{read,trade,admin}' WHERE key_id = %s",
        "scopes is",
    ),
    "another expiry": ("UPDATE api_keys SET expires_at = 5 WHERE key_id = %s", "expiry is 5"),
    "another account": (
        "UPDATE api_keys SET account_id = gen_random_uuid() WHERE key_id = %s",
        "account is",
    ),
    "an operator's role": ("UPDATE api_keys SET role = 'admin' WHERE key_id = %s", "role is admin"),
    "another label": ("UPDATE api_keys SET label = 'mine' WHERE key_id = %s", "label is mine"),
    "another event": (
        "UPDATE api_keys SET position = 1 WHERE key_id = %s",
        "position is 1",
    ),
    "another beginning": (
        "UPDATE api_keys SET created_at = created_at - interval '1 us' WHERE key_id = %s",
        "beginning is",
    ),
    "revived": ("UPDATE api_keys SET revoked_at = now() WHERE key_id = %s", "stored as revoked"),
}


@pytest.mark.parametrize("what", WRONG)
def test_audit_finds_what_was_written_by_hand_into_the_table_of_keys(
    venue: Venue, dsn: str, what: str
) -> None:
    """Whatever of it differs from what the events say; and nothing is found before."""
    statement, said = WRONG[what]
    key = issued(venue, account_id=venue.trader(cash="0").account_id)

    def found() -> list[str]:
        with PostgresAuditSource(dsn, venue.schema) as source:
            report = verify(source, StoredCodec())
        return [one.message for one in report.violations if one.check == "api_keys"]

    assert [] == found()
    with psycopg.connect(dsn) as conn:
        conn.execute(sql.SQL("SET search_path TO {}").format(sql.Identifier(venue.schema)))
        kept = conn.execute("SELECT * FROM api_keys").fetchall()
        conn.execute(statement.encode(), (key.key_id,) if "%s" in statement else None)
        conn.commit()
        try:
            (violation,) = found()
        finally:
            conn.execute("DELETE FROM api_keys")
            columns = ", ".join(["%s"] * len(kept[0]))
            with conn.cursor() as cursor:
                cursor.executemany(f"INSERT INTO api_keys VALUES ({columns})".encode(), kept)
            conn.commit()
    assert said in violation
    assert [] == found()


def test_one_who_is_forgotten_reads_as_forgotten_and_nothing_else_changes(
    venue: Venue, dsn: str
) -> None:
    """His name stands sealed in the log; with its key gone nobody reads it, money stays, and a
    further account for him is another person's.
    """
    person = f"Anna {uuid4().hex[:12]}"
    names = [f"fund-{uuid4().hex[:8]}" for _ in range(3)]
    first, second = (
        venue.admin.post("/admin/accounts", json={"name": name, "owner": person}).json()
        for name in names[:2]
    )
    again = venue.admin.post("/admin/accounts", json={"name": names[0], "owner": person}).json()
    assert (first["account_id"], False) == (again["account_id"], again["created"])
    for one in (first, second):
        venue.admin.post(f"/admin/accounts/{one['account_id']}/deposits", json={"amount": "10.25"})

    def account(one: dict[str, Any]) -> dict[str, Any]:
        shown: dict[str, Any] = venue.admin.get(f"/admin/accounts/{one['account_id']}").json()
        return shown

    assert (person, person) == (account(first)["owner"], account(second)["owner"])
    with psycopg.connect(dsn) as conn:
        table = sql.Identifier(venue.schema, "stored_events")
        states = conn.execute(sql.SQL("SELECT state FROM {}").format(table)).fetchall()
    assert not any(person.encode() in bytes(state) for (state,) in states)

    # A name that looks like his sealed one is another's.
    with LogReader(dsn, venue.schema) as log:
        (opened,) = log.events_of(UUID(first["account_id"]))[:1]
    looks_alike = {"name": opened.event.owner}
    alike = venue.admin.post("/admin/accounts", json=looks_alike).json()
    assert opened.event.owner == account(alike)["owner"]
    venue.admin.post(f"/admin/accounts/{alike['account_id']}/forget-owner", json={})
    assert (person, "(forgotten)") == (account(first)["owner"], account(alike)["owner"])

    path = f"/admin/accounts/{first['account_id']}/forget-owner"
    forgotten = venue.admin.post(path, json={"reason": "asked for"})
    assert 200 == forgotten.status_code, forgotten.text
    assert forgotten.json()["duplicate"] is False
    assert venue.admin.post(path, json={}).json()["duplicate"] is True
    listed = {one["id"]: one["owner"] for one in venue.admin.get("/admin/accounts").json()}
    for one in (first, second):
        assert ("(forgotten)", "10.25") == (account(one)["owner"], account(one)["cash"])
        assert "(forgotten)" == listed[one["account_id"]]
    new = venue.admin.post("/admin/accounts", json={"name": names[2], "owner": person}).json()
    assert person == account(new)["owner"]
    with PostgresAuditSource(dsn, venue.schema) as source:
        assert verify(source, StoredCodec()).ok
        kept = source.subjects()
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute(sql.SQL("SET search_path TO {}").format(sql.Identifier(venue.schema)))
        subject = subject_of(opened.event.owner)
        undone = (
            "UPDATE subjects SET key = decode(repeat('00', 64), 'hex'), name_sha256 = '\\x00',"
            " forgotten_at = NULL WHERE key IS NULL AND subject = %s"
        )
        assert 1 == conn.execute(undone, (subject,)).rowcount
        assert subject not in kept
        with PostgresAuditSource(dsn, venue.schema) as source:
            (violation,) = verify(source, StoredCodec()).violations
        assert ("forgotten", f"the key of person {subject} is kept") == (
            violation.check,
            violation.message,
        )
        conn.execute(
            "UPDATE subjects SET key = NULL, name_sha256 = NULL, forgotten_at = now()"
            " WHERE subject = %s",
            (subject,),
        )
    assert "(forgotten)" == account(first)["owner"]


def test_keys_are_issued_listed_rotated_and_revoked_on_the_command_line(
    venue: Venue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By an operator who has nothing but his own key; a secret is shown once and listed never."""
    monkeypatch.setenv("APCA_API_KEY_ID", ADMIN["APCA-API-KEY-ID"])
    monkeypatch.setenv("APCA_API_SECRET_KEY", ADMIN["APCA-API-SECRET-KEY"])

    def nexus(*arguments: str, code: int = 0) -> str:
        said = CliRunner().invoke(keys_command, [*arguments, "--url", venue.url])
        assert code == said.exit_code, said.output
        return said.output

    label = "[red]night desk"
    made = json.loads(
        nexus("create", "--label", label, "--scope", "read", "--scope", "risk", "--json")
    )
    listed = nexus("list")
    (told,) = (
        one
        for one in json.loads(nexus("list", "--json"))["keys"]
        if one["key_id"] == made["key_id"]
    )
    assert (label, ["read", "risk"], "live", None) == tuple(
        told[name] for name in ("label", "scopes", "status", "account_id")
    )
    assert label in listed and made["secret_key"] not in listed
    rotated = json.loads(nexus("rotate", made["key_id"], "--json"))
    assert made["secret_key"] != rotated["secret_key"]
    key = Trader("", rotated["key_id"], rotated["secret_key"])
    assert 200 == status_of(venue.url, key, path="/admin/accounts")
    nexus("revoke", made["key_id"])
    assert 401 == status_of(venue.url, key, path="/admin/accounts")
    assert "UNKNOWN_KEY" in nexus("rotate", "nobody", code=Exit.CHECK_FAILED)
    monkeypatch.setenv("APCA_API_SECRET_KEY", "wrong")
    assert "NOT_AUTHORIZED" in nexus("list", code=Exit.CHECK_FAILED)
