"""Every check of the audit catches the damage it is for, and names it and its position."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from application.audit.second_books.findings import CHECKS
from application.audit.verify import verify
from application.desk.desk import Desk
from application.desk.state import FORMAT, dump, state_hash_of
from domain import events as e
from domain.account import Account
from domain.identifiers import HOUSE, uuid7
from infrastructure.log.audit_source import StoredCodec
from infrastructure.log.codec import decode_event
from tests.model.damaged_auctions import OF_MARKETS
from tests.model.damaged_keys import OF_KEYS
from tests.model.damaged_strategies import OF_STRATEGIES
from tests.model.memory_audit import MemoryAuditSource
from tests.model.tampering import (
    UNKNOWN,
    Tamper,
    altered,
    digit_more,
    find,
    left_bare,
    one_more,
    put,
    sibling_lives,
    sound,
    stop_beside_its_take_profit,
    tampered,
)


def column(field: str, value: Any) -> Tamper:
    """Another value in one column of the row of the last fill of a buyer."""

    def tamper(source: MemoryAuditSource) -> int:
        row, _ = find(source, e.OrderFilled, side=1)
        source.rows[row.position - 1] = row._replace(**{field: value})
        return row.position

    return tamper


def removed(source: MemoryAuditSource) -> int:
    """The last cancel is gone."""
    row, _ = find(source, e.OrderCanceled)
    source.rows.remove(row)
    return row.position + 1


def deposit_removed(source: MemoryAuditSource) -> int:
    """The first deposit is gone."""
    row = next(row for row in source.rows if row.topic == e.CashDeposited.TOPIC)
    source.rows.remove(row)
    return row.position + 1


def cut_short(source: MemoryAuditSource) -> int:
    """The last byte is gone."""
    row, _ = find(source, e.OrderCanceled)
    source.rows[row.position - 1] = row._replace(state=row.state[:-1])
    return row.position


def written_otherwise(source: MemoryAuditSource) -> int:
    """The same event, its ids as text: it can be read and is not what the writer writes."""
    row, event = find(source, e.OrderCanceled)
    state = msgspec.msgpack.encode(event)
    assert decode_event(row.topic, state) == event
    source.rows[row.position - 1] = row._replace(state=state)
    return row.position


def unknown_topic(source: MemoryAuditSource) -> int:
    """A topic that no version ever had."""
    row, _ = find(source, e.OrderCanceled)
    source.rows[row.position - 1] = row._replace(topic="order.vanished.v1")
    return row.position


def first_posting(delta: int, balanced: bool) -> Callable[[Any], Any]:
    """A cent more for the first party, and out of nowhere unless balanced."""

    def change(postings: Any) -> Any:
        (party, ledger, amount), (other, second, opposite), *rest = postings
        balance = delta if balanced else 0
        return ((party, ledger, amount + delta), (other, second, opposite - balance), *rest)

    return change


def rejected_after_all(source: MemoryAuditSource) -> int:
    """An order that trades later was never accepted."""
    _, fill = find(source, e.OrderFilled)
    row, order = find(source, e.OrderAccepted, originator_id=fill.originator_id)
    rejected = e.OrderRejected(  # type: ignore[call-arg]
        *msgspec.structs.astuple(order)[:10], order.symbol, order.side, order.order_type,
        order.time_in_force, order.qty, 0, 0, order.client_order_id, order.fingerprint,
        "ORDER_TOO_LARGE", "", {},
    )  # fmt: skip
    put(source, row, rejected)
    return find(source, e.OrderFilled, originator_id=order.originator_id)[0].position


def beyond_its_limit(source: MemoryAuditSource) -> int:
    """A buy order whose limit was lower than what it paid."""
    fill_row, fill = find(source, e.OrderFilled, side=1, liquidity=2)
    row, order = find(source, e.OrderAccepted, originator_id=fill.originator_id)
    put(source, row, msgspec.structs.replace(order, working_price=fill.price - 1))
    return fill_row.position


def came_late(source: MemoryAuditSource) -> int:
    """The one who waited first is said to have come last."""
    _, fill = find(source, e.OrderFilled, liquidity=1, originator_version=2)
    row, order = find(source, e.OrderAccepted, originator_id=fill.originator_id)
    return put(source, row, msgspec.structs.replace(order, sequence=0))


def halted_instead(source: MemoryAuditSource) -> int:
    """No session ever began."""
    position = 0
    for row in source.rows:
        if row.topic == e.InstrumentOpened.TOPIC:
            event = decode_event(row.topic, row.state)
            header = msgspec.structs.astuple(event)[:8]
            put(source, row, e.InstrumentHalted(*header, "news"))  # type: ignore[call-arg]
        elif row.topic == e.OrderFilled.TOPIC and not position:
            position = row.position
    return position


def one_owner(source: MemoryAuditSource) -> int:
    """All accounts are of one owner."""
    for row in list(source.rows):
        if row.topic == e.AccountOpened.TOPIC:
            event = decode_event(row.topic, row.state)
            put(source, row, msgspec.structs.replace(event, owner="one"))
    fills = (row for row in source.rows if row.topic == e.OrderFilled.TOPIC)
    return next(
        row.position
        for row in fills
        if decode_event(row.topic, row.state).liquidity == 1  # type: ignore[attr-defined]
    )


def view_ahead(source: MemoryAuditSource) -> int:
    """A view says it has seen what is not there."""
    ahead = len(source.rows) + 1
    source.views = [("orders", 1, ahead)]
    return ahead


def snapshot_with(**changes: Any) -> Tamper:
    """A desk snapshot that says something else."""

    def tamper(source: MemoryAuditSource) -> int:
        source.desks[0] = source.desks[0]._replace(**changes)
        return source.desks[0].position

    return tamper


def aggregate_with(field: str, change: Callable[[Any], Any]) -> Tamper:
    """An aggregate snapshot that says something else."""

    def tamper(source: MemoryAuditSource) -> int:
        row = source.aggregates[0]
        source.aggregates[0] = row._replace(**{field: change(getattr(row, field))})
        return 0

    return tamper


def due_twice(source: MemoryAuditSource) -> int:
    """What was settled is settled again in place of something else."""
    _, first = find(source, e.SettlementSettled)
    row = next(row for row in source.rows if row.topic == e.SettlementSettled.TOPIC)
    header = decode_event(row.topic, row.state)
    again = {name: getattr(first, name) for name in ("account_id", "instrument_id", "value_date")}
    put(source, row, msgspec.structs.replace(header, **again))
    return row.position


def killed_for_good(source: MemoryAuditSource) -> int:
    """The switch of an account was never released."""
    row, event = find(source, e.AccountKillSwitched, engaged=False)
    return put(source, row, msgspec.structs.replace(event, engaged=True))


def called_before_an_order(source: MemoryAuditSource) -> int:
    """The call was met before the last order was taken, and is said to have begun instead."""
    row, event = find(source, e.MarginCallMet)
    header = msgspec.structs.astuple(event)
    return put(source, row, e.MarginCalled(*header))


OTHER_COMMAND = uuid7(1_763_625_600_000_000, 0, 1, 0)

DAMAGE: list[tuple[str, str, Tamper]] = [
    ("positions", "a row taken out", removed),
    ("versions", "a row taken out", deposit_removed),
    ("versions", "a version skipped", altered(e.CashDeposited, "originator_version", one_more)),
    ("time", "an hour back", altered(e.CashDeposited, "at", lambda at: at - 3_600_000_000)),
    ("bytes", "a row cut short", cut_short),
    ("bytes", "a row written otherwise", written_otherwise),
    ("bytes", "a topic nobody knows", unknown_topic),
    ("columns", "another quantity", column("traded_qty", 1)),
    ("columns", "another amount", column("traded_notional", None)),
    ("columns", "another instant", column("recorded_at", 5)),
    ("columns", "another account", column("account_id", HOUSE)),
    ("columns", "another instrument", column("instrument_id", None)),
    ("columns", "another actor", column("actor", "nobody")),
    ("commands", "another command", altered(e.TradeBooked, "correlation_id", OTHER_COMMAND)),
    ("commands", "another actor inside", altered(e.TradeBooked, "actor", "nobody")),
    ("causes", "caused by what comes later", altered(e.OrderFilled, "causation_id", 10**9)),
    (
        "postings",
        "a cent out of nowhere",
        altered(e.TradeBooked, "postings", first_posting(1, False)),
    ),
    (
        "ledger",
        "a cent out of nowhere",
        altered(e.CashDeposited, "postings", first_posting(1, False)),
    ),
    ("balances", "a cent not booked", altered(e.CashDeposited, "postings", first_posting(1, True))),
    ("cash", "another balance", altered(e.CashDeposited, "cash_after", one_more)),
    ("cash", "another debt", altered(e.TradeBooked, "unsettled_after", one_more)),
    ("holds", "another hold", altered(e.MarginReserved, "held_after", one_more)),
    ("holds", "a hold kept", altered(e.MarginReleased, "held_after", one_more)),
    ("holds", "an order that holds more", altered(e.OrderAccepted, "hold", one_more, side=1)),
    ("quantities", "another holding", altered(e.PositionTraded, "qty_after", one_more)),
    ("quantities", "another profit", altered(e.PositionTraded, "realized_after", one_more)),
    ("quantities", "another cost", altered(e.PositionTraded, "cost_after", one_more)),
    ("quantities", "a rest", altered(e.PositionTraded, "cost_rest_after", "1")),
    ("quantities", "more than a rest", altered(e.PositionTraded, "cost_rest_after", f"{10**22}")),
    ("quantities", "rounded otherwise", altered(e.PositionTraded, "rounded", one_more)),
    ("quantities", "settled early", altered(e.PositionTraded, "settled_after", one_more)),
    ("quantities", "a transfer", altered(e.PositionTransferred, "qty_after", one_more)),
    ("reserves", "another reserve", altered(e.QuantityReserved, "reserved_after", one_more)),
    (
        "reserves",
        "an order that sells more",
        altered(e.OrderAccepted, "hold_qty", one_more, side=2),
    ),
    ("bookings", "a fill of another session", altered(e.OrderFilled, "session_date", one_more)),
    ("bookings", "a fill due another day", altered(e.OrderFilled, "value_date", one_more)),
    ("bookings", "a fill of another scale", altered(e.OrderFilled, "price_decimals", one_more)),
    ("life", "a fill without acceptance", rejected_after_all),
    ("life", "another status", altered(e.OrderFilled, "status_after", 4)),
    (
        "life",
        "filled, and canceled by its client",
        altered(e.OrderCanceled, "reason", 1, reason=13, canceled_qty=0),
    ),
    ("life", "busted, and its trades stand", altered(e.OrderCanceled, "reason", 13, reason=1)),
    ("life", "elected too early", altered(e.OrderTriggered, "seen_price", lambda _: 0)),
    ("fills", "more filled", altered(e.OrderFilled, "filled_after", one_more)),
    ("fills", "more left", altered(e.OrderFilled, "leaves_after", one_more)),
    ("fills", "another value", altered(e.OrderFilled, "value_after", digit_more)),
    ("fills", "more canceled", altered(e.OrderCanceled, "canceled_qty", one_more)),
    ("fills", "a bust of no trade", altered(e.OrderFillBusted, "trade_id", UNKNOWN)),
    ("fills", "a bust of more", altered(e.OrderFillBusted, "qty", one_more)),
    (
        "fills",
        "a correction of another price",
        altered(e.OrderFillCorrected, "old_price", one_more),
    ),
    ("trades", "two quantities", altered(e.OrderFilled, "qty", one_more)),
    ("trades", "two prices", altered(e.OrderFilled, "price", one_more)),
    ("trades", "two amounts", altered(e.OrderFilled, "notional", one_more)),
    ("trades", "one side", altered(e.OrderFilled, "trade_id", UNKNOWN)),
    ("bookings", "another quantity booked", altered(e.TradeBooked, "qty", one_more)),
    ("bookings", "another trade held", altered(e.PositionTraded, "trade_id", UNKNOWN)),
    ("bookings", "another trade reversed", altered(e.PositionReversed, "trade_id", UNKNOWN)),
    ("limits", "a price beyond the limit", beyond_its_limit),
    (
        "protections",
        "a market order that reaches further",
        altered(e.OrderAccepted, "protection_price", one_more, order_type=1),
    ),
    (
        "protections",
        "a stop that reaches further",
        altered(e.OrderTriggered, "protection_price", one_more),
    ),
    ("protections", "an exit ended by a thin book", left_bare),
    ("priority", "a place not earned", came_late),
    ("owners", "one owner", one_owner),
    ("phases", "no session", halted_instead),
    (
        "crossed",
        "a bid above all offers",
        altered(e.OrderAccepted, "working_price", 10**9, symbol="EXIT", leg=1),
    ),
    ("commissions", "another fee", altered(e.TradeBooked, "fee", one_more)),
    (
        "commissions",
        "a rate of its own",
        altered(e.OrderFilled, "commission", lambda c: str(int(c) + 1), commission_kind=1),
    ),
    (
        "commissions",
        "below its minimum",
        altered(e.OrderFilled, "commission_after", "1", commission_kind=2),
    ),
    ("commissions", "a cent too many", altered(e.TradeBooked, "commissions_after", one_more)),
    ("commissions", "another volume", altered(e.TradeBooked, "month_qty_after", one_more)),
    ("commissions", "a bust that keeps", altered(e.TradeReversed, "commissions_after", one_more)),
    ("fill_values", "a cent too many", altered(e.TradeBooked, "notional", one_more)),
    ("fill_values", "a cent too few back", altered(e.TradeReversed, "notional", lambda n: n - 1)),
    (
        "fill_values",
        "another sum",
        altered(e.TradeBooked, "traded_value_after", lambda v: str(int(v) + 1)),
    ),
    ("hold_sizes", "a hold too high", altered(e.OrderAccepted, "hold", one_more, side=1, leg=0)),
    ("hold_sizes", "a fill that keeps", altered(e.OrderFilled, "hold_after", one_more)),
    ("hold_sizes", "another reserve", altered(e.OrderAccepted, "hold_qty", one_more, side=2)),
    ("hold_sizes", "a held order that holds", altered(e.OrderAccepted, "hold", 1, status=9)),
    ("hold_sizes", "a stop that takes more", altered(e.OrderAdjusted, "hold_after", 1, reason=6)),
    ("buying_power", "more than there is", altered(e.OrderAccepted, "hold", 10**12, side=1)),
    ("exits", "more than is held", altered(e.QuantityReserved, "reserved_after", 10**16)),
    ("unpaid", "paid after all", altered(e.TradeBooked, "unpaid_qty", 0, unpaid_qty=9 * 10**8)),
    ("unpaid", "a fill unpaid", altered(e.OrderFilled, "unpaid_qty", 10**8, side=1)),
    ("unpaid", "a holding paid", altered(e.PositionTraded, "unpaid_after", one_more)),
    ("obligations", "another value date", altered(e.TradeBooked, "value_date", one_more)),
    ("obligations", "another scale", altered(e.TradeBooked, "price_decimals", one_more)),
    ("obligations", "worth more", altered(e.TradeBooked, "traded_value", digit_more)),
    ("obligations", "costs more", altered(e.TradeBooked, "commission", digit_more)),
    ("obligations", "gives back more", altered(e.TradeReversed, "traded_value", digit_more)),
    ("obligations", "costs less", altered(e.TradeReversed, "commission", digit_more)),
    ("obligations", "due the other way", altered(e.TradeBooked, "due", 2, side=1)),
    ("obligations", "due as posted", altered(e.TradeReversed, "due", 0)),
    ("obligations", "undone elsewhere", altered(e.TradeReversed, "value_date", one_more)),
    ("obligations", "more bought", altered(e.SettlementSettled, "bought_qty", one_more)),
    ("settlements", "before it is due", altered(e.SettlementSettled, "run_date", 20251101)),
    ("settlements", "another amount", altered(e.AccountSettled, "amount", one_more)),
    ("settlements", "another quantity", altered(e.PositionSettled, "qty", one_more)),
    ("settlements", "another attempt", altered(e.SettlementSettled, "attempts", one_more)),
    ("settlements", "a false reason", altered(e.SettlementFailed, "reason", "SECURITIES")),
    ("settlements", "in part", altered(e.AccountSettled, "settlement_id", HOUSE)),
    ("settlements", "twice", due_twice),
    ("pool", "something left over", altered(e.SettlementSettled, "pool_after", one_more)),
    ("cash", "settled to more", altered(e.AccountSettled, "cash_after", one_more)),
    ("cash", "another receivable", altered(e.TradeBooked, "receivable_after", one_more)),
    ("quantities", "settled to more", altered(e.PositionSettled, "settled_after", one_more)),
    ("margin_calls", "another equity", altered(e.MarginCalled, "equity", one_more)),
    ("margin_calls", "no reason to call", called_before_an_order),
    ("day_ends", "another mark", altered(e.PositionMarked, "mark", one_more)),
    ("day_ends", "more held", altered(e.PositionMarked, "qty", one_more)),
    ("day_ends", "another value", altered(e.PositionMarked, "market_value", one_more)),
    ("day_ends", "another profit", altered(e.PositionMarked, "unrealized", one_more)),
    ("day_ends", "more of before", altered(e.PositionMarked, "carried_over", one_more)),
    ("day_ends", "more carried", altered(e.PositionMarked, "carried_after", digit_more)),
    ("day_ends", "another date", altered(e.PositionMarked, "session_date", one_more)),
    ("day_ends", "another equity", altered(e.AccountDayClosed, "equity", one_more)),
    ("day_ends", "more cash", altered(e.AccountDayClosed, "cash", one_more)),
    ("day_ends", "a day before", altered(e.AccountDayClosed, "session_date", 20_251_120)),
    ("day_ends", "another scale", altered(e.PositionMarked, "price_decimals", one_more)),
    ("day_ends", "another session", altered(e.InstrumentClosed, "session_date", one_more)),
    ("day_ends", "another close", altered(e.InstrumentClosed, "mark", one_more)),
    ("day_ends", "another last close", altered(e.InstrumentOpened, "previous_close", one_more)),
    (
        "quantities",
        "more carried on",
        altered(e.PositionTraded, "carried_after", digit_more, qty=9 * 10**8),
    ),
    ("expiries", "another price", altered(e.InstrumentExpired, "underlying_price", one_more)),
    ("expiries", "more exercised", altered(e.InstrumentExpired, "exercised", digit_more)),
    ("expiries", "another end", altered(e.PositionExpired, "how", one_more)),
    ("expiries", "a part of it", altered(e.PositionExpired, "qty", one_more)),
    ("quantities", "another loss", altered(e.PositionExpired, "realized", one_more)),
    *OF_MARKETS,
    *OF_STRATEGIES,
    ("kill_switches", "a switch that stays", killed_for_good),
    ("groups", "more traded", altered(e.GroupLegFilled, "filled_after", one_more)),
    ("groups", "more entered", altered(e.GroupEntryFilled, "entry_filled_after", one_more)),
    ("groups", "exits that outgrow", altered(e.GroupEntryFilled, "exit_qty_after", 10**12)),
    ("groups", "another end", altered(e.GroupEnded, "filled", one_more)),
    ("groups", "exits of two sizes", altered(e.OrderAdjusted, "leaves_after", one_more, leg=3)),
    ("legs", "another leg", altered(e.OrderFilled, "leg", 1, leg=3)),
    ("legs", "no group", altered(e.OrderCanceled, "group_id", HOUSE, reason=9)),
    ("legs", "legs of two sizes", altered(e.GroupPlaced, "qty", one_more)),
    ("legs", "a leg never placed", altered(e.GroupPlaced, "stop_loss_id", UNKNOWN)),
    ("siblings", "an orphan", sibling_lives),
    ("triggers", "a price not seen", altered(e.GroupStopTriggered, "low_price", 10**9)),
    ("triggers", "both legs run", stop_beside_its_take_profit),
    ("watchlists", "a name twice", altered(e.WatchlistChanged, "name", "first")),
    ("watchlists", "another's list", altered(e.WatchlistDeleted, "account_id", HOUSE)),
    *OF_KEYS,
    ("views", "a view ahead", view_ahead),
    ("desk_snapshots", "another hash", snapshot_with(state_hash=b"x" * 16)),
    ("desk_snapshots", "another state", snapshot_with(state=dump(Desk()))),
    ("desk_snapshots", "no state", snapshot_with(state=b"")),
    ("desk_snapshots", "a position ahead", snapshot_with(position=10**9)),
    ("aggregate_snapshots", "other bytes", aggregate_with("state", lambda s: s[:-1] + b"\x01")),
    ("aggregate_snapshots", "another kind", aggregate_with("topic", lambda _: "order")),
    ("aggregate_snapshots", "a version ahead", aggregate_with("version", lambda v: v + 10**6)),
]


def test_sound_log_passes_every_check_and_each_is_made() -> None:
    """Nothing is found where nothing is wrong, and no check passes because it never looked."""
    report = verify(sound(), StoredCodec())

    assert () == report.violations
    assert report.ok
    assert [] == [check.name for check in report.checks if not check.looked]
    assert report.last_position == report.events == len(sound().rows)


@pytest.mark.parametrize("spoilt", [False, True])
def test_desk_snapshot_of_an_earlier_format_is_passed_over(spoilt: bool) -> None:
    """As whoever recovers does it; not one that is not what its hash says."""

    def earlier(source: MemoryAuditSource) -> int:
        first, *others = source.desks
        _, *rooms = msgspec.msgpack.decode(first.state)
        state = msgspec.msgpack.encode([FORMAT - 1, *rooms])
        state_hash = b"x" * 16 if spoilt else state_hash_of(state)
        source.desks = [first._replace(state=state, state_hash=state_hash), *others]
        return first.position

    report, position = tampered(earlier)
    assert [("desk_snapshots", position)] * spoilt == [
        (violation.check, violation.position) for violation in report.violations
    ]


def test_snapshot_of_before_a_field_was_added_is_sound() -> None:
    """As a store has them after the program was changed: the field is blank there."""

    def shorter(source: MemoryAuditSource) -> int:
        shortened = 0
        for place, row in enumerate(source.aggregates):
            *before, forgotten = msgspec.msgpack.decode(row.state)
            if row.topic == Account.KIND and not forgotten:
                state = msgspec.msgpack.encode(before)
                source.aggregates[place] = row._replace(state=state)
                shortened += 1
        return shortened

    report, shortened = tampered(shorter)
    assert shortened
    assert () == report.violations


@pytest.mark.parametrize(
    ("check", "tamper"),
    [pytest.param(check, tamper, id=f"{check}: {what}") for check, what, tamper in DAMAGE],
)
def test_damage_is_caught_and_named(check: str, tamper: Tamper) -> None:
    """A log, a view or a snapshot with one thing wrong is not passed by the check meant for it."""
    report, position = tampered(tamper)

    found = [violation for violation in report.violations if violation.check == check]
    assert not report.ok
    assert found, report.violations
    # Later damage may follow from the first; nothing is reported before it.
    assert position <= found[0].position or found[0].check == "priority"


def test_every_check_has_a_damage_that_it_catches() -> None:
    """A check that no test can make fail would be no check."""
    assert set(CHECKS) == {check for check, _, _ in DAMAGE}


def test_audit_counts_what_it_does_not_show() -> None:
    """Of many violations the first are kept and all are counted."""

    def tamper(source: MemoryAuditSource) -> int:
        source.rows = [row._replace(actor="nobody") for row in source.rows]
        return 1

    report, _ = tampered(tamper)

    columns = next(check for check in report.checks if check.name == "columns")
    shown = [violation for violation in report.violations if violation.check == "columns"]
    assert columns.failed == len(sound().rows)
    assert list(range(1, 21)) == [violation.position for violation in shown]
