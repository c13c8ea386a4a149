"""Views beside the desk of a writer that lived through everything: what they show is what is."""

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import psycopg
import pytest
from msgspec.structs import astuple, replace
from psycopg import sql

from application.desk.desk import Desk
from application.desk.following import follow
from application.log.ports import Recorded
from application.orders import OrderView
from domain.events import (
    CashMoved,
    GroupEnded,
    GroupPlaced,
    OrderEvent,
    OrderReplaced,
    PositionTransferred,
)
from domain.identifiers import HOUSE
from domain.margin import equity
from domain.order import Order
from domain.terms import Leg
from infrastructure.embedded_server import EmbeddedServer
from migrations.runner import migrate
from projections.balances import get_account, get_venue_switch, list_accounts
from projections.equity import MINUTE
from projections.equity_reads import Span, TooMany, changes_of, equities, flows_of
from projections.instruments import list_instruments
from projections.order_groups import get_group, get_groups
from projections.order_reads import OrderRow, get_order, legs_of, list_orders
from projections.positions import list_positions
from projections.views import all_views
from tests.conftest import Schema
from tests.model.command_flow import lived
from tests.model.projecting import ask, checksums, project, rebuild
from tests.model.stored_flow import store

NAME = "views_beside_the_desk"


class Life:
    """A log of groups, margins, commissions and settlements, projected, and the desk after it."""

    def __init__(self, schema: Schema) -> None:
        venue = lived(23, 900)
        events = venue.log.events()
        self.schema = schema
        self.events = [Recorded(position, event) for position, event in enumerate(events, 1)]
        self.desk = Desk()
        follow(self.desk, self.events)
        asyncio.run(store(venue, schema.dsn, schema.schema))
        # Small batches, so that most changes meet rows that stand already.
        project(schema, batch_events=97)

    def ask(self, question: Any) -> Any:
        """Put a question to the views."""
        return ask(self.schema, question)

    def raw(self, columns: str, table: str) -> list[tuple[Any, ...]]:
        """Columns of a view as they are stored."""
        with psycopg.connect(self.schema.dsn) as conn:
            conn.execute(sql.SQL("SET search_path TO {}").format(sql.Identifier(NAME)))
            query = sql.SQL("SELECT {} FROM {}").format(
                sql.SQL(", ").join(map(sql.Identifier, columns.split())), sql.Identifier(table)
            )
            return conn.execute(query).fetchall()


@pytest.fixture(scope="module")
def life(postgres: EmbeddedServer) -> Iterator[Life]:
    """One life for all tests of this file."""
    migrate(postgres.dsn(), NAME)
    yield Life(Schema(postgres.dsn(), NAME))
    with psycopg.connect(postgres.dsn(), autocommit=True) as conn:
        conn.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(NAME)))


def test_projection_of_working_orders_and_oco_legs_is_the_desk(life: Life) -> None:
    """What is left, held and reserved for every order that works, and its group, leg and status."""
    columns = "order_id account_id status leaves hold hold_qty filled current_qty group_id leg"

    shown = {row[0]: row[1:] for row in life.raw(columns + " open", "orders") if row[-1]}

    assert {
        order.id: (
            order.account_id,
            order.status,
            order.leaves,
            order.hold,
            order.hold_qty,
            order.filled,
            order.qty,
            order.group_id,
            order.leg,
            True,
        )
        for order in life.desk.orders.working.values()
    } == shown
    assert any(row[8] for row in shown.values()), "the flow left no leg of a group working"


def test_projection_of_equity_is_the_desks_at_its_last_minute(life: Life) -> None:
    """What an account is worth follows from the view's rows, of whatever minutes they are read."""
    last = life.events[-1].event.at // MINUTE

    for account in life.desk.accounts.by_id.values():
        worth = equity(account, life.desk.margin(account.id))
        for span in (Span(last, last), Span(last - 3, last, 2), Span(0, last, 60)):

            async def question(conn: Any, of: UUID = account.id, span: Span = span) -> Any:
                return await changes_of(conn, of, span, limit=100_000)

            assert [worth] == equities(life.ask(question), [last + 1])


def test_projection_of_flows_is_what_was_brought_and_taken(life: Life) -> None:
    """Cash in and out as the events say, and each transfer at what it was worth."""

    async def question(conn: Any) -> Any:
        accounts = [one.id for one in life.desk.accounts.by_id.values()]
        return {one: await flows_of(conn, one, after=0) for one in accounts}

    told: dict[UUID, list[tuple[int, int]]] = {
        one.id: [] for one in life.desk.accounts.by_id.values()
    }
    for position, event in life.events:
        if isinstance(event, CashMoved):
            told[event.originator_id].append((position, event.amount))
        elif isinstance(event, PositionTransferred):
            worth = event.mark * event.qty // 10 ** (event.price_decimals + 6)
            told[event.account_id].append((position, worth if event.mark else event.cost))

    shown = life.ask(question)

    assert told == {one: [(f.position, f.amount) for f in flows] for one, flows in shown.items()}
    assert any(told.values())


def test_projection_that_is_asked_for_too_many_changes_says_so(life: Life) -> None:
    """Nobody reads more at once than is said."""
    last = life.events[-1].event.at // MINUTE
    account = next(iter(life.desk.accounts.by_id.values()))

    async def question(conn: Any) -> Any:
        return await changes_of(conn, account.id, Span(0, last), limit=3)

    with pytest.raises(TooMany):
        life.ask(question)


def revisions_told(events: list[Recorded]) -> dict[UUID, list[OrderView]]:
    """Every order's revisions by the log alone, each as it stands or stood, the first first."""
    orders: dict[UUID, Order] = {}
    chains: dict[UUID, list[OrderView]] = defaultdict(list)
    for _, event in events:
        if isinstance(event, OrderEvent):
            order = orders.get(event.originator_id)
            if isinstance(event, OrderReplaced) and order is not None:
                stood = OrderView.of(order).replaced(event.revision_id, event.at)
                chains[event.originator_id].append(stood)
            orders[event.originator_id] = event.mutate(order)
    for order_id, order in orders.items():
        chains[order_id].append(OrderView.of(order))
    return chains


def test_projection_of_every_revision_is_the_one_that_the_log_tells(life: Life) -> None:
    """All that a client sees of an order, whether it works, ended, was replaced or refused."""

    async def question(conn: Any) -> Any:
        accounts = [one.id for one in life.desk.accounts.by_id.values()]
        return [
            row
            for account in accounts
            for row in await list_orders(
                conn, account, status="all", limit=100_000, direction="asc"
            )
        ]

    shown: dict[UUID, list[OrderView]] = defaultdict(list)
    for row in life.ask(question):
        shown[row.order_id].append(OrderView(*astuple(row)[: len(OrderView.__struct_fields__)]))

    names = {key: one.instrument.symbol for key, one in life.desk.markets.by_id.items()}
    told = {
        order_id: [
            replace(one, symbol=names.get(one.instrument_id.int, one.symbol)) for one in chain
        ]
        for order_id, chain in revisions_told(life.events).items()
    }
    assert told == shown
    assert {0, 1, 2, 4, 8, 9, 12} == {chain[-1].status for chain in shown.values()}
    assert any(len(chain) > 2 for chain in shown.values()), "no order was replaced twice"


def test_projection_of_holds_adds_up_to_the_accounts_and_positions(life: Life) -> None:
    """The holds of an account's orders are what it holds; each share is reserved once."""
    held: dict[UUID, int] = {}
    reserved: dict[tuple[UUID, UUID], int] = {}
    for account, instrument, hold, qty in life.raw(
        "account_id instrument_id hold hold_qty", "orders"
    ):
        held[account] = held.get(account, 0) + hold
        reserved[account, instrument] = reserved.get((account, instrument), 0) + qty

    assert {row[0]: row[1] for row in life.raw("account_id held", "balances")} == {
        account.id: held.get(account.id, 0) for account in life.desk.accounts.by_id.values()
    }
    for account, instrument, reserve in life.raw("account_id instrument_id reserved", "positions"):
        assert reserved.get((account, instrument), 0) == reserve


def test_projection_of_accounts_is_the_desk(life: Life) -> None:
    """Money, what is unsettled either way, commissions, policies, limits and switches."""

    async def question(conn: Any) -> Any:
        return await list_accounts(conn), await get_venue_switch(conn)

    rows, venue = life.ask(question)

    names = [
        "cash",
        "unsettled",
        "held",
        "receivable",
        "payable",
        "unpaid",
        "commissions",
        "use_unsettled",
        "killed",
        "margin_called",
        "suspend_trade",
        "no_shorting",
        "fractional_trading",
        "max_margin_multiplier",
        "status",
        "max_order_notional",
        "max_orders_per_second",
        "kind",
    ]
    assert [
        [getattr(account, name) for name in names] for account in life.desk.accounts.by_id.values()
    ] == [[getattr(row, name) for name in names] for row in rows]
    for row, account in zip(rows, life.desk.accounts.by_id.values(), strict=True):
        kept = account.schedule
        assert list(row.schedule_state) == [
            *kept[:1],
            *([tuple(tier) for tier in kept[1]],) * bool(kept),
            *kept[2:],
        ]
    assert life.desk.accounts.venue.killed == venue.killed


def test_projection_of_positions_and_instruments_is_the_desk(life: Life) -> None:
    """Quantities, what may not be sold yet, margin rates, and the mark they are valued at."""

    async def question(conn: Any) -> Any:
        held = [
            row
            for account in [one.id for one in life.desk.accounts.by_id.values()]
            for row in await list_positions(conn, account, include_flat=True)
        ]
        return held, await list_instruments(conn)

    held, instruments = life.ask(question)

    names = (
        "qty",
        "settled",
        "reserved",
        "unpaid",
        "cost",
        "realized",
    )
    for row in held:
        position = life.desk.accounts.positions[row.account_id.int, row.instrument_id.int]
        assert [getattr(position, name) for name in names] == [getattr(row, n) for n in names]
        assert life.desk.markets.by_id[row.instrument_id.int].mark == row.price
        if position.qty >= 0:
            assert max(0, position.available) == row.available
    assert len(life.desk.accounts.positions) == len(held)
    terms = (
        "initial_margin_bps",
        "maintenance_margin_bps",
        "shortable",
        "settlement_cycle",
    )
    for row in instruments:
        listed = life.desk.markets.by_id[row.instrument_id.int].instrument
        assert [getattr(listed, name) for name in terms] == [getattr(row, name) for name in terms]


def test_projection_of_oco_groups_is_the_desk(life: Life) -> None:
    """Groups that work stand as the writer has them; those that ended are closed, with a reason."""
    placed = [e for _, e in life.events if isinstance(e, GroupPlaced)]
    over = {e.originator_id: e.reason for _, e in life.events if isinstance(e, GroupEnded)}

    async def question(conn: Any) -> Any:
        rows = []
        for event in placed:
            rows.append(await get_group(conn, event.account_id, event.originator_id))
        foreign = await get_groups(conn, HOUSE, [event.originator_id for event in placed])
        return rows, foreign

    rows, foreign = life.ask(question)

    assert [] == foreign
    for row in rows:
        group = life.desk.orders.groups.get(row.group_id.int)
        assert (group is None) == (row.group_id in over) == bool(row.ended_at)
        assert over.get(row.group_id, 0) == row.end_reason
        if group is not None:
            names = (
                "phase",
                "qty",
                "exit_qty",
                "entry_filled",
                "filled",
                "order_class",
                "side",
            )
            assert [getattr(group, name) for name in names] == [getattr(row, n) for n in names]
    assert {False, True} == {row.group_id in over for row in rows}


def test_projection_lists_oco_and_bracket_groups_once_when_nested(life: Life) -> None:
    """Each working group stands once under its parent, with all its other legs in it."""

    async def question(conn: Any) -> Any:
        return [
            (
                await list_orders(conn, account, nested=True, limit=500),
                await list_orders(conn, account, nested=True, status="closed", limit=500),
                await list_orders(conn, account, limit=500),
            )
            for account in [one.id for one in life.desk.accounts.by_id.values()]
        ]

    found = life.ask(question)

    groups = life.desk.orders.groups
    accounts = [one.id for one in life.desk.accounts.by_id.values()]
    for account, (nested, closed, flat) in zip(accounts, found, strict=True):
        own = {group.id for group in groups.values() if group.account_id == account}
        assert own == {row.group_id for row in nested if row.leg}
        assert len(own) == sum(1 for row in nested if row.leg)
        assert {row.order_id for row in flat} == {
            order.id for order in life.desk.orders.of_account(account)
        }
        assert not {row.group_id for row in closed if not row.replaced_by.int} & own
        for row in nested:
            if row.leg:
                assert groups[row.group_id.int].order_class == row.order_class
                assert row.leg == (Leg.TAKE_PROFIT if row.order_class == 1 else Leg.ENTRY)


def test_projection_of_a_group_id_is_its_parent_with_its_stop_loss_beneath(life: Life) -> None:
    """The group's id, and every member's, lead to the order; the legs are as they stand now."""

    async def question(conn: Any) -> Any:
        answers = []
        for group in life.desk.orders.groups.values():
            row = await get_order(conn, group.account_id, group.id)
            assert row is not None
            answers.append((group, row, await legs_of(conn, group.account_id, [row])))
        return answers

    for group, row, legs in life.ask(question):
        beneath: list[OrderRow] = legs[row.order_id]
        assert group.entry_id in (HOUSE, row.order_id)
        members = {row.order_id, *(leg.order_id for leg in beneath)}
        assert {i for _, i in group.legs} == members
        for leg in beneath:
            order = life.desk.orders.working.get(leg.order_id.int)
            if order is not None:
                assert (order.qty, order.status, order.filled) == (leg.qty, leg.status, leg.filled)


def test_projection_rebuilt_from_the_log_is_the_one_kept_live(life: Life) -> None:
    """Every view thrown away and built again has the same rows."""
    before = checksums(life.schema)

    for view in all_views():
        done = rebuild(life.schema, view, chunk_events=211)
        assert done.equal and done.switched, view.name

    assert before == checksums(life.schema)


def test_projection_knows_no_account_of_another_name(life: Life) -> None:
    """An id that is no account's has no row."""
    assert life.ask(lambda conn: get_account(conn, HOUSE)) is None
