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
from domain.terms import Ledger
from infrastructure.database import EmbeddedServer
from infrastructure.log.codec import typed_columns
from migrations.runner import migrate
from projections.ledger import all_balances
from tests.conftest import Schema
from tests.model.audited_flow import AuditedVenue, audited
from tests.model.projecting import ask, project
from tests.model.stored_flow import store

ROOT = Path(__file__).resolve().parent.parent.parent
SCHEMA = "test_audit_store"
Said = subprocess.CompletedProcess[str]
Nexus = Callable[..., Said]


@cache
def flow() -> AuditedVenue:
    """The flow whose log is in the store."""
    return audited(7, 300)


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


def amounts(kind: type[Any], field: str) -> int:
    """The sum of a field over all events of a kind, in cents."""
    return sum(getattr(event, field) for event in flow().log.events() if isinstance(event, kind))


def cents(text: str) -> int:
    """An amount as the command line prints it."""
    whole, _, part = text.partition(".")
    return int(whole + part)


def test_ledger_of_the_event_store_sums_to_zero(nexus: Nexus) -> None:
    """All parties together have nothing; what came in stands against the house's funding, what
    trades cost is its income, and what passes through it is flat.
    """
    (facts,) = lines(nexus("audit", "reconcile", "--json"))

    assert (True, "0.00") == (facts["ok"], facts["ledger_sum"])
    assert facts["parties"] == 1 + len(flow().writer.desk.accounts.by_id)
    house = {row["ledger"]: cents(row["house"]) for row in facts["ledgers"]}
    came_in = amounts(e.CashDeposited, "amount") + amounts(e.CashWithdrawn, "amount")
    assert -(came_in + amounts(e.PositionTransferred, "cost")) == house["funding"]
    fees = amounts(e.TradeBooked, "fee") - amounts(e.TradeReversed, "fee")
    assert fees == house["commission"] > 0
    assert 0 == house["clearing"]
    desk = flow().writer.desk.accounts
    positions = desk.positions.values()
    rests = sum(one.cost_rest - one.realized_rest for one in positions)
    assert rests == house["securities"] * 10**22
    assert 2 * abs(house["rounding"]) <= len(desk.by_id)


def test_ledger_totals_are_those_of_the_desk(nexus: Nexus) -> None:
    """Cash, receivable, payable, held margin and realised profit of all accounts together."""
    (facts,) = lines(nexus("audit", "reconcile", "--json"))

    accounts = flow().writer.desk.accounts.by_id.values()
    positions = flow().writer.desk.accounts.positions.values()
    told = {row["ledger"]: cents(row["accounts"]) for row in facts["ledgers"]}
    due = {
        "cash": sum(account.cash for account in accounts),
        "receivable": sum(account.receivable for account in accounts),
        "payable": -sum(account.payable for account in accounts),
        "held": sum(account.held for account in accounts),
        "available": -sum(account.held for account in accounts),
        "securities": sum(position.cost for position in positions),
        "realized": -sum(position.realized for position in positions),
    }
    assert due == {name: told[name] for name in due}
    assert all(due.values())


def test_ledger_view_is_held_against_the_events(nexus: Nexus, postgres: EmbeddedServer) -> None:
    """The view agrees to the cent; a cent more in it ends with 1 and names the ledger."""
    schema = Schema(postgres.dsn(), SCHEMA)
    project(schema)
    (sound,) = lines(nexus("audit", "reconcile", "--json"))
    table = sql.Identifier(SCHEMA, "view_ledger_balances_v1")
    with psycopg.connect(postgres.dsn(), autocommit=True) as conn:
        more = sql.SQL("UPDATE {} SET amount = amount + %s WHERE ledger = 1 AND party = %s")
        account = next(iter(flow().writer.desk.accounts.by_id.values())).id
        conn.execute(more.format(table), (1, account))
        said = nexus("audit", "reconcile", "--json")
        read = nexus("audit", "reconcile")
        conn.execute(more.format(table), (-1, account))

    assert sound["view_position"] == len(flow().log.rows)
    assert {0} == {row["differing"] for row in sound["ledgers"]}
    assert all(
        cents(row["view"]) == cents(row["accounts"]) + cents(row["house"])
        for row in sound["ledgers"]
    )
    assert said.returncode == read.returncode == Exit.CHECK_FAILED
    differing = [row for row in json.loads(said.stdout)["ledgers"] if row["differing"]]
    assert [("cash", 1)] == [(row["ledger"], row["differing"]) for row in differing]


def test_ledger_view_answers_for_one_account_and_for_all(
    nexus: Nexus, postgres: EmbeddedServer
) -> None:
    """One party's ledgers and the totals, as they are in the events."""
    schema = Schema(postgres.dsn(), SCHEMA)
    project(schema)
    account = next(iter(flow().writer.desk.accounts.by_id.values()))

    rows = ask(schema, all_balances)
    mine = {row.ledger: row.amount for row in rows if row.party == account.id}
    totals = {kind: sum(r.amount for r in rows if r.ledger == kind) for kind in Ledger}

    assert (account.cash, account.held) == (mine[Ledger.CASH], mine[Ledger.HELD])
    assert 0 == sum(totals.values()) == sum(row.amount for row in rows)
    assert totals[Ledger.HELD] == -totals[Ledger.AVAILABLE]


def settled_group() -> e.GroupPlaced:
    """An oco whose take-profit traded in part before its stop ran."""
    triggered = last(e.GroupStopTriggered)
    return next(
        event
        for event in flow().log.events()
        if isinstance(event, e.GroupPlaced) and event.originator_id == triggered.originator_id
    )


def test_trail_of_a_group_is_one_linked_life(nexus: Nexus) -> None:
    """The group's events, each leg's, and what they did in accounts and positions, in order; the
    take-profit is canceled before the stop runs, and by the command that triggered it.
    """
    group = settled_group()

    steps = lines(nexus("audit", "trail", str(group.originator_id), "--json"))

    assert [step["position"] for step in steps] == sorted({step["position"] for step in steps})
    own = [s["topic"] for s in steps if s["originator_id"] == str(group.originator_id)]
    assert [e.GroupPlaced.TOPIC, e.GroupLegFilled.TOPIC] == own[:2]
    assert e.GroupEnded.TOPIC == own[-1]
    legs = {str(group.take_profit_id), str(group.stop_loss_id)}
    of_legs = [event for event in flow().log.events() if str(event.originator_id) in legs]
    assert len(of_legs) == sum(step["originator_id"] in legs for step in steps)
    met = next(s for s in steps if s["topic"] == e.GroupStopTriggered.TOPIC)
    same = [s for s in steps if s["correlation_id"] == met["correlation_id"]]
    order = [s["topic"] for s in same if s["position"] >= met["position"]]
    assert order.index(e.OrderCanceled.TOPIC) < order.index(e.OrderTriggered.TOPIC)
    topics = {step["topic"] for step in steps}
    assert {e.TradeBooked.TOPIC, e.PositionTraded.TOPIC, e.QuantityReserved.TOPIC} <= topics


def test_trail_of_a_leg_includes_its_group(nexus: Nexus) -> None:
    """Who asks for one leg sees the group's events too; the client's name leads to all of it."""
    group = settled_group()

    leg = lines(nexus("audit", "trail", str(group.stop_loss_id), "--json"))
    whole = lines(nexus("audit", "trail", str(group.originator_id), "--json"))
    named = lines(nexus("audit", "trail", group.client_order_id, "--json"))

    own = {s["position"] for s in whole if s["originator_id"] == str(group.originator_id)}
    assert own <= {step["position"] for step in leg}
    assert whole == named


def test_trail_of_a_settlement_tells_its_trades_and_every_attempt(nexus: Nexus) -> None:
    """From the trades that made the obligation over its failure to the cash and shares moved."""
    failed = last(e.SettlementFailed)

    steps = lines(nexus("audit", "trail", str(failed.originator_id), "--json"))

    topics = [step["topic"] for step in steps]
    assert e.TradeBooked.TOPIC == topics[0]
    assert topics.index(e.SettlementFailed.TOPIC) < topics.index(e.SettlementSettled.TOPIC)
    assert [e.AccountSettled.TOPIC, e.PositionSettled.TOPIC] == topics[-2:]


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


def test_trail_of_an_order_has_each_of_its_events_once_in_order(nexus: Nexus) -> None:
    """Numbered without gaps, each where the log has it, and who did it by which command."""
    order = last(e.OrderCanceled)
    log = flow().log.events()

    steps = lines(nexus("audit", "trail", str(order.originator_id), "--json"))

    own = [step for step in steps if step["originator_id"] == str(order.originator_id)]
    assert list(range(1, len(own) + 1)) == [step["version"] for step in own]
    for step in own:
        stored = log[step["position"] - 1]
        assert (stored.TOPIC, stored.actor, stored.gateway, str(stored.correlation_id)) == (
            step["topic"], step["actor"], step["gateway"], step["correlation_id"],
        )  # fmt: skip


def test_trail_of_a_command_is_all_that_it_did_to_everybody(nexus: Nexus) -> None:
    """Every event of the command, whichever account or order it is of, and no other's."""
    fill = last(e.OrderFilled)
    whole = [event for event in flow().log.events() if event.correlation_id == fill.correlation_id]

    steps = lines(nexus("audit", "trail", str(fill.correlation_id), "--json"))

    found = [step for step in steps if step["correlation_id"] == str(fill.correlation_id)]
    assert [event.TOPIC for event in whole] == [step["topic"] for step in found]
    assert len({step["originator_id"] for step in found}) > 3


def test_trail_of_an_account_is_every_event_that_concerns_it(nexus: Nexus) -> None:
    """Its own, its orders' and its positions': what the log says is of it, and nothing else."""
    account = last(e.OrderFilled).account_id

    steps = lines(nexus("audit", "trail", str(account), "--json"))

    assert [step["position"] for step in steps] == [
        position
        for position, event in enumerate(flow().log.events(), 1)
        if typed_columns(event).account_id == account
    ]


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
