"""`nexus audit` and `nexus events` on a real store: sound, damaged, followed and added up."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from api.cli.exit_codes import Exit
from domain import events as e
from infrastructure.database import EmbeddedServer
from migrations.runner import migrate
from tests.model.command_flow import InMemoryVenue, lived
from tests.model.stored_flow import store

ROOT = Path(__file__).resolve().parent.parent.parent
SCHEMA = "test_audit_store"
Said = subprocess.CompletedProcess[str]
Nexus = Callable[..., Said]


@cache
def flow() -> InMemoryVenue:
    """The flow whose log is in the store."""
    return lived(7, 500)


@pytest.fixture(scope="module")
def nexus(postgres: EmbeddedServer) -> Iterator[Nexus]:
    """The command line on a store that a flow was written to."""
    migrate(postgres.dsn(), SCHEMA)
    asyncio.run(store(flow(), postgres.dsn(), SCHEMA))
    settings = {"NEXUS_DATABASE_URL": postgres.dsn(), "NEXUS_SCHEMA": SCHEMA}
    path = os.pathsep.join([str(ROOT), *sys.path])

    def run(*arguments: str) -> Said:
        return subprocess.run(
            [sys.executable, "-W", "error", "-m", "api.cli.main", *arguments],
            env={**os.environ, "PYTHONPATH": path, "COLUMNS": "200", **settings},
            capture_output=True,
            text=True,
            check=False,
        )

    yield run
    with psycopg.connect(postgres.dsn(), autocommit=True) as conn:
        conn.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(SCHEMA)))


def lines(said: Said) -> list[dict[str, Any]]:
    """What a command printed, one document a line."""
    assert said.returncode == Exit.OK, said.stderr
    return [json.loads(line) for line in said.stdout.splitlines()]


def last(kind: type[Any]) -> Any:
    """The last event of a kind in the flow."""
    return next(event for event in reversed(flow().log.events()) if isinstance(event, kind))


def test_sound_event_store_verifies(nexus: Nexus) -> None:
    """What a writer stored passes every check, and the count is that of the log."""
    (facts,) = lines(nexus("audit", "verify", "--json"))

    assert facts["ok"] is True
    assert facts["violations_found"] == 0
    assert facts["events"] == len(flow().log.rows)


def test_damaged_event_store_is_named_by_check_and_position(
    nexus: Nexus, postgres: EmbeddedServer
) -> None:
    """A column changed behind the writer's back ends with 1 and says where."""
    table = sql.Identifier(SCHEMA, "stored_events")
    with psycopg.connect(postgres.dsn(), autocommit=True) as conn:
        change = sql.SQL("UPDATE {} SET actor = %s WHERE notification_id = 11").format(table)
        conn.execute(change, ("nobody",))
        said = nexus("audit", "verify", "--json")
        read = nexus("audit", "verify")
        conn.execute(change, ("somebody",))

    assert said.returncode == read.returncode == Exit.CHECK_FAILED
    (violation,) = json.loads(said.stdout)["violations"]
    assert ("columns", 11) == (violation["check"], violation["position"])
    assert "position 11: columns: actor is nobody" in read.stdout
    assert nexus("audit", "verify").returncode == Exit.OK


def test_ledger_of_the_event_store_sums_to_zero(nexus: Nexus) -> None:
    """All parties together have nothing; the house stands against the accounts."""
    (facts,) = lines(nexus("audit", "reconcile", "--json"))

    assert (True, "0.00") == (facts["ok"], facts["total"])
    assert facts["parties"] == 5
    deposited = sum(
        event.amount for event in flow().log.events() if isinstance(event, e.CashDeposited)
    )
    withdrawn = sum(
        event.amount for event in flow().log.events() if isinstance(event, e.CashWithdrawn)
    )
    (funding,) = (row for row in facts["balances"] if row["ledger"] == "funding")
    assert -(deposited + withdrawn) == round(float(funding["amount"]) * 100)


def test_trail_of_an_order_tells_holds_fills_bookings_and_the_other_side(nexus: Nexus) -> None:
    """From one order id to everything that happened because of it."""
    fill = last(e.OrderFilled)

    steps = lines(nexus("audit", "trail", str(fill.originator_id), "--json"))

    topics = {step["topic"] for step in steps}
    assert {e.OrderAccepted.TOPIC, e.OrderFilled.TOPIC, e.TradeBooked.TOPIC} <= topics
    fills = [step for step in steps if step.get("trade_id") == str(fill.trade_id)]
    assert {step["topic"] for step in fills} >= {e.OrderFilled.TOPIC, e.PositionTraded.TOPIC}
    orders = {step["originator_id"] for step in fills if step["topic"] == e.OrderFilled.TOPIC}
    assert len(orders) == 2
    assert [step["position"] for step in steps] == sorted(step["position"] for step in steps)


def test_every_kind_of_id_leads_to_its_trail(nexus: Nexus) -> None:
    """A trade, a revision, a client's own name, an account and a command are all found."""
    fill, replaced = last(e.OrderFilled), last(e.OrderReplaced)
    placed = last(e.OrderAccepted)

    trade = lines(nexus("audit", "trail", str(fill.trade_id), "--json"))
    revision = lines(nexus("audit", "trail", str(replaced.revision_id), "--json"))
    client = lines(nexus("audit", "trail", placed.client_order_id, "--json"))
    account = lines(nexus("audit", "trail", str(fill.account_id), "--json"))
    command = lines(nexus("audit", "trail", str(fill.correlation_id), "--json"))

    assert {str(fill.trade_id)} == {s["trade_id"] for s in trade if "trade_id" in s}
    assert str(replaced.originator_id) in {step["originator_id"] for step in revision}
    assert str(placed.originator_id) in {step["originator_id"] for step in client}
    assert account[0]["topic"] == e.AccountOpened.TOPIC
    assert str(fill.correlation_id) in {step["correlation_id"] for step in command}
    assert nexus("audit", "trail", "nobody's").returncode == Exit.CHECK_FAILED


def test_events_are_shown_with_amounts_as_decimals_and_names(nexus: Nexus) -> None:
    """A person reads 100.0000 and buy where the log has integers."""
    placed = last(e.OrderAccepted)
    position = 1 + flow().log.events().index(placed)

    (shown,) = lines(nexus("events", "show", str(position), "--json"))

    assert f"{placed.qty / 10**8:.8f}" == shown["qty"]
    assert shown["side"] in ("buy", "sell")
    assert {"working_price", "hold", "revision_id"} <= shown.keys()
    assert nexus("events", "show", "10000000").returncode == Exit.CHECK_FAILED


def test_events_are_listed_by_position_topic_account_and_order(nexus: Nexus) -> None:
    """Each filter gives exactly the events that a look at the whole log gives."""
    fill = last(e.OrderFilled)
    events = list(enumerate(flow().log.events(), 1))

    some = lines(nexus("events", "list", "--after", "100", "--limit", "30", "--json"))
    fills = lines(nexus("events", "list", "--topic", "order.filled", "--limit", "5000", "--json"))
    order = lines(nexus("events", "list", "--order", str(fill.originator_id), "--json"))
    account = lines(
        nexus("events", "list", "--account", str(fill.account_id), "--limit", "5000", "--json")
    )

    assert list(range(101, 131)) == [row["position"] for row in some]
    assert [n for n, event in events if isinstance(event, e.OrderFilled)] == [
        row["position"] for row in fills
    ]
    assert [n for n, event in events if event.originator_id == fill.originator_id] == [
        row["position"] for row in order
    ]
    assert [
        n
        for n, event in events
        if fill.account_id in (getattr(event, "account_id", None), event.originator_id)
    ] == [row["position"] for row in account]
    assert nexus("events", "list", "--topic", "nonsense").returncode == Exit.USAGE


def test_store_without_a_log_ends_with_4(nexus: Nexus, postgres: EmbeddedServer) -> None:
    """Who points at an empty schema learns it at once."""
    path = os.pathsep.join([str(ROOT), *sys.path])
    settings = {"NEXUS_DATABASE_URL": postgres.dsn(), "NEXUS_SCHEMA": "test_empty"}
    said = subprocess.run(
        [sys.executable, "-m", "api.cli.main", "audit", "verify"],
        env={**os.environ, "PYTHONPATH": path, **settings},
        capture_output=True,
        text=True,
        check=False,
    )

    assert said.returncode == Exit.MIGRATION
    assert "Traceback" not in said.stderr
