"""The linked life of whatever an id names: every event of it, and why each happened."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol
from uuid import UUID

from application.log.ports import Recorded, RequestKey
from application.log.whole_commands import first_command
from domain.events import (
    AccountEvent,
    AccountSettled,
    DomainEvent,
    GroupEvent,
    GroupPlaced,
    MultiLegClosed,
    MultiLegEvent,
    MultiLegPlaced,
    MultiLegRejected,
    MultiLegReplaced,
    OrderEvent,
    OrderReplaced,
    SettlementEvent,
    TradeBooked,
    TradeReversed,
)
from domain.identifiers import NO_ID, Instant, key_stream

_COMMAND_EVENTS = 200_000
_INDEX_MASK = (1 << 20) - 1


class TrailSource(Protocol):
    """A log as the search for a trail reads it."""

    def last_position(self) -> int:
        """The position of the newest event."""
        ...

    def read(self, after: int, limit: int) -> Sequence[Recorded]:
        """Events above a position, in order."""
        ...

    def events_of(self, originator_id: UUID) -> Sequence[Recorded]:
        """The events of one aggregate."""
        ...

    def keys_named(self, key: str) -> Sequence[RequestKey]:
        """Every account's request key of this name."""
        ...

    def of_account(self, account_id: UUID) -> Sequence[Recorded]:
        """Every event that concerns an account: its own, its orders' and its positions'."""
        ...


class Trail(NamedTuple):
    """What an id names, and the events of its life in log order."""

    kind: str
    id: str
    events: tuple[Recorded, ...]


class UnknownId(LookupError):
    """Nothing in the log has this id."""


def trail(source: TrailSource, text: str) -> Trail:
    """Find what an id names and follow it; raises UnknownId.

    Clients may name their orders as they like, also by UUIDs: what no id of ours names is
    looked for among theirs. A key goes by its id as clients send it.
    """
    try:
        identifier = UUID(text)
    except ValueError:
        return _of_key(source, text) or _by_client_order_id(source, text)
    return _by_id(source, identifier) or _by_client_order_id(source, text)


def _by_id(source: TrailSource, identifier: UUID) -> Trail | None:
    own = source.events_of(identifier)
    if own:
        return _of_aggregate(source, identifier, own)
    command = _command_of(source, identifier)
    text = str(identifier)
    if command and command[0].event.correlation_id == identifier:
        return Trail("command", text, _with_causes(source, {r.position: r for r in command}))
    for _, event in command:
        if isinstance(event, OrderReplaced) and event.revision_id == identifier:
            return _of_order(source, event.originator_id, "revision", text)
        if isinstance(event, MultiLegReplaced) and event.revision_id == identifier:
            return _of_group(source, source.events_of(event.originator_id), "revision", text)
    if any(getattr(event, "trade_id", None) == identifier for _, event in command):
        return _of_trade(source, identifier, command)
    return None


def _of_key(source: TrailSource, key_id: str) -> Trail | None:
    """What became of a key: who issued it, with which rights, and how it ended."""
    own = source.events_of(key_stream(key_id))
    return Trail("key", key_id, tuple(own)) if own else None


def _by_client_order_id(source: TrailSource, text: str) -> Trail:
    """A client's own name for a request: the orders it made, or the command it was."""
    found: dict[int, Recorded] = {}
    kind = "client order"
    for key in source.keys_named(text):
        command = _whole_command(source, key.position)
        orders = {r.event.originator_id for r in command if _names_order(r.event, key)}
        if not orders:
            kind = "request"
            found.update((r.position, r) for r in command)
        for order_id in orders:
            followed = _of_member(source, order_id, kind, text)
            found.update((r.position, r) for r in followed.events)
    if not found:
        raise UnknownId(text)
    return Trail(kind, text, _in_order(found.values()))


def _names_order(event: DomainEvent, key: RequestKey) -> bool:
    return (
        isinstance(event, OrderEvent | MultiLegEvent)
        and event.account_id == key.account_id
        and getattr(event, "client_order_id", getattr(event, "request_key", "")) == key.key
    )


def _of_aggregate(source: TrailSource, identifier: UUID, own: Sequence[Recorded]) -> Trail:
    """What is followed beyond its own events depends on what the id names."""
    kind = own[0].event.AGGREGATE
    follow = _FOLLOWED.get(kind)
    return follow(source, own) if follow is not None else Trail(kind, str(identifier), tuple(own))


def _placed_order(source: TrailSource, own: Sequence[Recorded]) -> Trail:
    identifier = own[0].event.originator_id
    return _of_order(source, identifier, "order", str(identifier))


def _placed_group(source: TrailSource, own: Sequence[Recorded]) -> Trail:
    return _of_group(source, own, "group", str(own[0].event.originator_id))


def _placed_strategy(source: TrailSource, own: Sequence[Recorded]) -> Trail:
    return _of_group(source, own, "multi-leg order", str(own[0].event.originator_id))


def _of_account(source: TrailSource, own: Sequence[Recorded]) -> Trail:
    identifier = own[0].event.originator_id
    return Trail("account", str(identifier), _in_order(source.of_account(identifier)))


def _of_member(source: TrailSource, order_id: UUID, kind: str, name: str) -> Trail:
    """An order, and all of its group, or of its multi-leg order, when it was placed as one of the
    legs, or is the parent of some.
    """
    own = source.events_of(order_id)
    if own and isinstance(own[0].event, MultiLegEvent):
        return _of_group(source, own, kind, name)
    group_id = _group_of(own)
    if group_id is None:
        return _of_order(source, order_id, kind, name)
    return _of_group(source, source.events_of(group_id), kind, name)


def _of_order(source: TrailSource, order_id: UUID, kind: str, name: str) -> Trail:
    """An order's events, what its commands did in accounts and positions for it, and its trades'
    other sides; the events of its group; and the events that caused any of these.
    """
    own = source.events_of(order_id)
    group_id = _group_of(own)
    group = source.events_of(group_id) if group_id is not None else ()
    return _of_orders(source, {order_id: own}, group, kind, name)


def _of_group(source: TrailSource, own: Sequence[Recorded], kind: str, name: str) -> Trail:
    """The events of a group or of a multi-leg order and those of all its legs, as for one order,
    in one line of events.
    """
    placed = own[0].event
    legs: set[UUID] = set()
    if isinstance(placed, GroupPlaced):
        legs = {placed.entry_id, placed.take_profit_id, placed.stop_loss_id} - {NO_ID}
    elif isinstance(placed, MultiLegPlaced):
        legs = {leg[0] for leg in placed.legs}
        # Those that unwound a leg that was ahead are orders of their own.
        legs |= {one.event.order_id for one in own if isinstance(one.event, MultiLegClosed)}
    else:
        assert isinstance(placed, MultiLegRejected)
    return _of_orders(source, {leg: source.events_of(leg) for leg in legs}, own, kind, name)


def _group_of(own: Sequence[Recorded]) -> UUID | None:
    """The group that an order is a leg of."""
    group_id = getattr(own[0].event, "group_id", NO_ID) if own else NO_ID
    return None if group_id == NO_ID else group_id


def _of_orders(
    source: TrailSource,
    lives: Mapping[UUID, Sequence[Recorded]],
    group: Sequence[Recorded],
    kind: str,
    name: str,
) -> Trail:
    own = [recorded for life in lives.values() for recorded in life]
    trades = {getattr(recorded.event, "trade_id", None) for recorded in own} - {None}
    found = {recorded.position: recorded for recorded in (*own, *group)}
    for command in _commands(source, [*own, *group]):
        for recorded in command:
            event: Any = recorded.event
            about_order = getattr(event, "order_id", None) in lives
            if about_order or getattr(event, "trade_id", None) in trades:
                found[recorded.position] = recorded
    return Trail(kind, name, _with_causes(source, found))


def _of_settlement(source: TrailSource, own: Sequence[Recorded]) -> Trail:
    """The attempts to settle an obligation, what they moved, and the trades that it is made of."""
    first = own[0].event
    assert isinstance(first, SettlementEvent)
    identifier = first.originator_id
    last = own[-1].position
    moved: list[Recorded] = []
    trades: list[Recorded] = []
    for recorded in source.of_account(first.account_id):
        event: Any = recorded.event
        if getattr(event, "settlement_id", None) == identifier:
            moved.append(recorded)
        elif recorded.position < last and _same_obligation(first, event):
            if isinstance(event, AccountSettled):
                # What was due before was settled then; this is for what came later.
                trades.clear()
            else:
                trades.append(recorded)
    found = {recorded.position: recorded for recorded in (*own, *moved, *trades)}
    return Trail("settlement", str(identifier), _with_causes(source, found))


_FOLLOWED: Mapping[str, Callable[[TrailSource, Sequence[Recorded]], Trail]] = {
    OrderEvent.AGGREGATE: _placed_order,
    AccountEvent.AGGREGATE: _of_account,
    GroupEvent.AGGREGATE: _placed_group,
    MultiLegEvent.AGGREGATE: _placed_strategy,
    SettlementEvent.AGGREGATE: _of_settlement,
}
"""How the life of an aggregate is followed, by its kind; of others their own events are all."""


def _same_obligation(first: SettlementEvent, event: DomainEvent) -> bool:
    return isinstance(event, TradeBooked | TradeReversed | AccountSettled) and (
        (event.instrument_id, event.value_date) == (first.instrument_id, first.value_date)
    )


def _of_trade(source: TrailSource, trade_id: UUID, command: Sequence[Recorded]) -> Trail:
    """Both sides of a trade in orders, accounts and positions, and what was done to it later."""
    found = {r.position: r for r in command if getattr(r.event, "trade_id", None) == trade_id}
    orders = {r.event.originator_id for r in found.values() if isinstance(r.event, OrderEvent)}
    for order_id in orders:
        later = [
            r for r in source.events_of(order_id) if getattr(r.event, "trade_id", None) == trade_id
        ]
        for other in _commands(source, later):
            found.update(
                (r.position, r) for r in other if getattr(r.event, "trade_id", None) == trade_id
            )
    return Trail("trade", str(trade_id), _with_causes(source, found))


def _with_causes(source: TrailSource, found: dict[int, Recorded]) -> tuple[Recorded, ...]:
    """The events found and, step by step, the events that caused them."""
    waiting = list(found.values())
    while waiting:
        cause = waiting.pop().event.causation_id
        if cause and cause not in found:
            for recorded in source.read(cause - 1, 1):
                found[cause] = recorded
                waiting.append(recorded)
    return _in_order(found.values())


def _in_order(events: Iterable[Recorded]) -> tuple[Recorded, ...]:
    return tuple(sorted(events, key=lambda recorded: recorded.position))


def _commands(source: TrailSource, events: Sequence[Recorded]) -> list[Sequence[Recorded]]:
    """The whole commands that events belong to, each once."""
    commands: dict[UUID, Sequence[Recorded]] = {}
    for recorded in events:
        correlation = recorded.event.correlation_id
        if correlation not in commands:
            commands[correlation] = _whole_command(source, recorded.position)
    return list(commands.values())


def _whole_command(source: TrailSource, position: int) -> list[Recorded]:
    """The events of the command to which the event at a position belongs."""
    here = source.read(position - 1, 1)
    if not here:
        return []
    correlation = here[0].event.correlation_id
    first, step = position, 16
    while first > 1:
        start = max(1, first - step)
        before = source.read(start - 1, first - start)
        same = 0
        for recorded in reversed(before):
            if recorded.event.correlation_id != correlation:
                break
            same += 1
        first -= same
        if same < len(before):
            break
        step = min(2 * step, 10_000)
    return _following(source, first, correlation)


def _following(source: TrailSource, first: int, correlation: UUID) -> list[Recorded]:
    """The events of a command from its first one on."""
    found: list[Recorded] = []
    step = 16
    while len(found) < _COMMAND_EVENTS:
        page = source.read(first - 1 + len(found), step)
        if page and page[0].event.correlation_id != correlation:
            return found
        own = first_command(page)
        found += own
        if len(own) < step:
            return found
        step = min(2 * step, 10_000)
    return found


def _command_of(source: TrailSource, identifier: UUID) -> list[Recorded]:
    """The events of the command that drew an id: an id of ours says when and by which."""
    at = _instant_in(identifier)
    position = position_at(source, at - 1) + 1
    correlation = UUID(int=identifier.int & ~_INDEX_MASK)
    while page := source.read(position - 1, 500):
        for recorded in page:
            if recorded.event.at > at:
                return []
            if recorded.event.correlation_id == correlation:
                return _following(source, recorded.position, correlation)
        position = page[-1].position + 1
    return []


def _instant_in(identifier: UUID) -> Instant:
    return (identifier.int >> 80) * 1000 + ((identifier.int >> 64) & 0xFFF)


def position_at(source: TrailSource, at: Instant) -> int:
    """The position of the last event at or before an instant; time never goes back."""
    low, high = 0, source.last_position()
    while low < high:
        middle = (low + high + 1) // 2
        if source.read(middle - 1, 1)[0].event.at <= at:
            low = middle
        else:
            high = middle - 1
    return low
