"""Request keys: a request is done once, for ever and after every restart."""

import asyncio
from collections.abc import Callable
from uuid import UUID, uuid4

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from application.commands import (
    CancelAll,
    CancelOrder,
    Deposit,
    OpenAccount,
    PlaceOrder,
    ReplaceOrder,
    Reply,
    decode_command,
    encode_command,
)
from application.desk.state import dump, state_hash
from application.log.ports import Batch, DeskSnapshot, OutcomeUnknown
from application.requests import Command
from application.writer.request_keys import BloomFilter, RequestKeys, fingerprint, key_of_event
from application.writer.sequencer import Sequencer
from domain.events import OrderAccepted, OrderRejected, PositionOpened
from domain.identifiers import operators_of, uuid7
from domain.terms import Side
from infrastructure.log.memory import MemoryLog, MemorySnapshots
from tests.model.desk_harness import NOON, DeskHarness, shares, trading_desk, wire
from tests.model.memory_writer import MemoryWriter, SetClock, logged, on_a_writer

ME, YOU = uuid7(1, 0, 1, 1), uuid7(1, 0, 1, 2)
KEYS = st.lists(st.tuples(st.sampled_from([ME, YOU]), st.text(max_size=12)), max_size=60)


@given(KEYS)
def test_a_filter_never_forgets(keys):
    """No proves that a key was never put in."""
    seen = BloomFilter(1 << 12)
    for key in keys:
        seen.add(key[0].int, key[1])
    assert all(seen.may_hold(key[0].int, key[1]) for key in keys)
    assert len(keys) == seen.count


def test_a_filter_seldom_cries_wolf():
    """At eight bits a key fewer than one new key in twenty costs a look-up."""
    seen = BloomFilter(1 << 16)
    for number in range(8_192):
        seen.add(ME.int, f"old {number}")
    wrong = sum(seen.may_hold(ME.int, f"new {number}") for number in range(4_000))
    assert wrong < 200


def test_a_filter_grows_with_what_it_holds():
    """However many keys there were, few new ones cost a look-up."""
    seen = BloomFilter(1 << 12)
    for number in range(20_000):
        seen.add(ME.int, f"old {number}")
    assert all(seen.may_hold(ME.int, f"old {number}") for number in range(20_000))
    wrong = sum(seen.may_hold(ME.int, f"new {number}") for number in range(4_000))
    assert wrong < 400


def test_the_oldest_recent_key_moves_to_the_filter():
    """Memory has a bound; what leaves it is still known to be possible."""
    keys = RequestKeys(kept=2)
    for number in range(3):
        keys.add((ME, f"{number}"), b"body", number)
    assert 2 == len(keys)
    assert keys.recent((ME, "0")) is None
    assert keys.needs_look_up((ME, "0"))
    assert (b"body", 2) == keys.recent((ME, "2"))
    assert keys.recent((YOU, "2")) is None


def test_while_the_filter_fills_every_key_is_looked_up():
    """After a start from a snapshot nothing is proved new before the filter is whole."""
    keys = RequestKeys(warm_up_to=5)
    assert keys.needs_look_up((ME, "any"))
    keys.forget_into_filter(ME, "old")
    keys.warming = False
    assert keys.needs_look_up((ME, "old"))
    assert not RequestKeys().needs_look_up((ME, "any"))


def test_bodies_that_differ_have_different_fingerprints():
    """One changed field is another request; the same command is the same bytes."""
    order = PlaceOrder(ME, "X", 1, 2, 1, 5, 7, 0, "k")
    bodies = [
        order,
        msgspec.structs.replace(order, qty=6),
        msgspec.structs.replace(order, post_only=True),
        msgspec.structs.replace(order, account_id=YOU),
        CancelOrder(ME, None, "k", "k"),
    ]
    assert len(bodies) == len({fingerprint(encode_command(body)) for body in bodies})
    for body in bodies:
        assert body == decode_command(encode_command(body))
        assert encode_command(body) == encode_command(decode_command(encode_command(body)))


def test_a_replace_is_known_by_the_new_client_id_it_gives():
    """Ids of orders are never given twice, by whichever request."""
    assert (ME, "new") == ReplaceOrder(ME, YOU, "new", "r").key()
    assert (ME, "r") == ReplaceOrder(ME, YOU, "", "r").key()
    assert ReplaceOrder(ME, YOU, "", "").key() is None
    assert CancelAll(ME).key() is None


def test_every_keyed_request_leaves_its_key_in_the_log():
    """What a rebuilt writer reads from the events is what the first one knew."""
    venue = trading_desk()
    order = venue.place(venue.a, Side.BUY, 1, 90, client="placed").order
    scenes: list[tuple[str, Callable[[], Reply]]] = [
        ("refused", lambda: venue.place(venue.a, Side.BUY, 1, "9.999", client="refused")),
        ("new", lambda: venue.replace(venue.a, order.order_id, qty=2, client="new")),
        ("same", lambda: venue.replace(venue.a, order.order_id, qty=2, client="same")),
        ("k1", lambda: venue.send(Deposit(venue.a, 5, "k1"))),
        ("k2", lambda: venue.send(Deposit(venue.a, 0, "k2"))),
        ("k3", lambda: venue.send(CancelOrder(venue.a, order.order_id, "", "k3"))),
        ("k4", lambda: venue.send(CancelOrder(venue.a, order.order_id, "", "k4"))),
    ]
    for key, scene in scenes:
        scene()
        found = [key_of_event(event, 1) for event in venue.events]
        whose = operators_of(venue.a) if key in ("k1", "k2") else venue.a
        assert [(whose, key)] == [(one.account_id, one.key) for one in found if one]


# -- with a writer ------------------------------------------------------------------------------


@pytest.mark.parametrize("restarted", [False, True])
def test_the_same_key_and_body_do_nothing_more_and_another_body_is_refused(restarted):
    """Whatever happened to the order since, and whoever led the log when it was first asked."""
    venue = trading_desk()
    log, snapshots = logged(venue), MemorySnapshots()
    order = PlaceOrder(venue.a, "X", 1, 2, 1, shares(5), wire(100), 0, "once")
    first: list[Reply] = []

    async def ask(writer: MemoryWriter) -> None:
        reply = await writer.send(order)
        assert reply.order is not None
        assert not reply.duplicate
        first.append(reply)
        sell = PlaceOrder(venue.b, "X", 2, 2, 1, shares(5), wire(100), 0, "once")
        assert (await writer.send(sell)).refusal is None
        if not restarted:
            await again(writer)

    async def again(writer: MemoryWriter) -> None:
        events = len(log.rows)
        reply = await writer.send(order)
        assert reply.duplicate
        assert first[0].order.order_id == reply.order.order_id
        for other in (
            msgspec.structs.replace(order, qty=shares(6)),
            CancelOrder(venue.a, first[0].order.order_id, "", "once"),
        ):
            refused = await writer.send(other)
            assert refused.refusal is not None
            assert "REQUEST_KEY_REUSED" == refused.refusal.code
        assert events == len(log.rows)

    on_a_writer(log, ask, snapshots)
    if restarted:
        on_a_writer(log, again, snapshots)


def snapshot_of(venue: DeskHarness) -> MemorySnapshots:
    """A desk snapshot at the end of what a desk lived through."""
    snapshots = MemorySnapshots()
    desk = venue.desk
    snapshot = DeskSnapshot(desk.position, state_hash(desk), dump(desk))
    asyncio.run(snapshots.save(snapshot, venue.at))
    return snapshots


@pytest.mark.parametrize("client_order_id", ["", "mine", "renamed"])
def test_after_a_restart_an_ended_order_is_still_known_to_be_ended(client_order_id):
    """A writer that began from a snapshot answers as the one before it did."""
    venue = trading_desk()
    order = venue.place(venue.a, Side.BUY, 5, 100, client="mine").order
    if client_order_id == "renamed":
        venue.replace(venue.a, order.order_id, qty=4, client="renamed")
    venue.cancel(venue.a, order.order_id)
    order_id: UUID | None = None if client_order_id else order.order_id

    async def cancel(writer: MemoryWriter) -> None:
        for number in range(3):
            reply = await writer.send(
                CancelOrder(venue.a, order_id, client_order_id, f"late {number}")
            )
            assert reply.refusal is not None
            assert "ORDER_NOT_WORKING" == reply.refusal.code

    on_a_writer(logged(venue), cancel, snapshot_of(venue))
    on_a_writer(logged(venue), cancel, MemorySnapshots())


def test_after_a_restart_an_ended_order_is_known_by_every_id_it_had():
    """Revisions and groups have ids of their own; an id that nothing has is unknown."""
    venue = trading_desk()
    order = venue.place(venue.a, Side.BUY, 5, 100).order
    revisions = [venue.replace(venue.a, order.order_id, qty=n).order.revision_id for n in (4, 3)]
    venue.cancel(venue.a, order.order_id)
    strangers = [uuid7(NOON, 0, 2**36 - 1, 1), uuid7(1, 0, 1, 1), UUID(int=revisions[0].int + 7)]

    async def cancel(writer: MemoryWriter) -> None:
        for number, order_id in enumerate([*strangers, *revisions, order.order_id, uuid4()]):
            reply = await writer.send(CancelOrder(venue.a, order_id, "", f"late {number}"))
            assert reply.refusal is not None
            known = order_id in (*revisions, order.order_id)
            wanted = "ORDER_NOT_WORKING" if known else "UNKNOWN_ORDER"
            assert wanted == reply.refusal.code

    on_a_writer(logged(venue), cancel, snapshot_of(venue))


def test_a_look_up_that_meets_an_unreadable_event_is_answered_and_holds_nobody_up():
    """The request is refused and may be sent again; the account's next commands go on."""
    venue = trading_desk()
    order = venue.place(venue.a, Side.BUY, 5, 100, client="mine").order
    venue.cancel(venue.a, order.order_id)
    log = logged(venue)
    (row,) = [r for r in log.rows if (r.originator_id, r.originator_version) == (order.order_id, 1)]
    log.rows[row.position - 1] = row._replace(topic="order.dreamt.v7")
    place = PlaceOrder(venue.a, "X", 1, 2, 1, shares(5), wire(100), 0, "mine")

    async def scene(writer: MemoryWriter) -> None:
        asked = (CancelOrder(venue.a, order.order_id, "", "late"), place, CancelAll(venue.a))
        replies = await asyncio.gather(*(writer.send(command) for command in asked))
        codes = [reply.refusal.code if reply.refusal else None for reply in replies]
        assert ["VENUE_UNAVAILABLE", "VENUE_UNAVAILABLE", None] == codes
        assert 2 == len(writer.said)
        assert all("no topic order.dreamt.v7" in said for said in writer.said)
        writer.said.clear()

    on_a_writer(log, scene, snapshot_of(venue))


def test_the_key_of_a_first_touch_is_found_behind_the_opened_position():
    """The first event of such an order opens its position; the reply is the order all the same."""
    venue = trading_desk()
    stranger = venue.account("stranger")
    log = logged(venue)
    order = PlaceOrder(stranger, "X", 1, 2, 1, shares(1), wire(90), 0, "first")

    async def twice(writer: MemoryWriter) -> None:
        first = await writer.send(order)
        kinds = [type(event) for event in log.events()[-3:]]
        assert [PositionOpened, OrderAccepted] == kinds[:2]
        again = await writer.send(order)
        assert (first.order, True) == (again.order, again.duplicate)

    on_a_writer(log, twice, MemorySnapshots())
    on_a_writer(log, lambda writer: repeated(writer, order), MemorySnapshots())


async def repeated(writer: MemoryWriter, command: Command) -> None:
    """The command is answered as one that was asked before."""
    assert (await writer.send(command)).duplicate


def test_what_was_refused_stays_refused_under_its_key():
    """Also when it would pass now."""
    venue = trading_desk()
    log = logged(venue)
    poor = venue.account("poor", cash=0)
    log = logged(venue)
    order = PlaceOrder(poor, "X", 1, 2, 1, shares(1), wire(90), 0, "too early")

    async def ask(writer: MemoryWriter) -> None:
        first = await writer.send(order)
        assert first.refusal is not None
        assert OrderRejected is type(log.events()[-1])
        assert (await writer.send(Deposit(poor, 10**6, "cash"))).refusal is None
        again = await writer.send(order)
        assert again.refusal is not None
        assert ("CLIENT_ORDER_ID_SPENT", True) == (again.refusal.code, again.duplicate)

    on_a_writer(log, ask, MemorySnapshots())


def test_oldest_keys_leave_memory_first():
    """Beyond what is kept whole, keys move to the filter in order of arrival."""
    keys = RequestKeys(kept=3)
    account = UUID(int=1)

    for number in (1, 2, 3, 2, 4, 5):
        keys.add((account, str(number)), b"", number)

    assert [keys.recent((account, str(n))) is not None for n in range(1, 6)] == [
        *(False, False),
        *(True, True, True),
    ]
    assert keys.needs_look_up((account, "1")) and keys.needs_look_up((account, "2"))


class LogThatLosesOnce(MemoryLog):
    """Its first commit breaks before anything is stored."""

    lost = False

    async def append(self, batch: Batch) -> None:
        if not self.lost:
            self.lost = True
            raise OutcomeUnknown("the connection broke before the statement went out")
        await super().append(batch)


def test_command_whose_key_cannot_be_kept_is_refused_also_after_a_lost_commit():
    """What is refused before it is decided stays refused when its group is decided again."""
    log = LogThatLosesOnce()
    too_long = PlaceOrder(ME, "X", 1, 2, 1, shares(5), wire(100), 0, "k" * 200)

    async def scene() -> None:
        said: list[str] = []
        sequencer = Sequencer(log, MemorySnapshots(), SetClock(), say=said.append)
        running = asyncio.create_task(sequencer.run())
        await sequencer.ready.wait()
        opened = asyncio.create_task(sequencer.send(OpenAccount("a", "a", 1)))
        refused = await sequencer.send(too_long)
        assert log.lost and (await opened).refusal is None
        assert refused.refusal is not None
        assert "client_order_id" == refused.refusal.details["field"]
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    asyncio.run(scene())
