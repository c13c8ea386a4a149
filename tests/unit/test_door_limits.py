"""Connections, paces, frames and parts of what comes, counted without a socket."""

from __future__ import annotations

import asyncio
import random
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from api.door.addresses import address_of
from api.door.connections import Connections
from api.door.door import Door
from api.door.frames import Frames
from api.door.limits import Limits
from api.door.pace import Pace
from api.door.vanished import notice_the_vanished
from api.door.wire import PROGRESS_BYTES, Taken, Wire
from api.http.bounds import Bounds
from api.ws import outbox
from api.ws.echoed import LONGEST_ID, echoed, id_of
from api.ws.outbox import Outbox
from domain.errors import InvalidField

FEW = Limits(connections=6, of_an_address=4, strangers=5, strangers_of_an_address=3)


class Guest:
    """A connection that only notes that it was turned out."""

    def __init__(self, address: str = "1") -> None:
        self.address = address
        self.out = False

    def turn_out(self) -> None:
        self.out = True

    def cut(self) -> None:
        self.out = True

    def look(self, now: float) -> None:
        """Nothing falls due for it."""


def entered(connections: Connections, count: int, address: str = "1") -> list[Guest]:
    """Guests that were let in."""
    guests = [Guest(address) for _ in range(count)]
    assert [""] * count == [connections.enter(guest) for guest in guests]
    return guests


def test_stranger_that_was_there_longest_makes_room() -> None:
    """Whoever comes finds a place, however many of its address say nothing."""
    connections = Connections(FEW)
    first, *others = entered(connections, 4)

    assert first.out
    assert not any(guest.out for guest in others)
    assert (3, 3) == (len(connections), connections.strangers)


def test_address_of_a_proxy_speaks_for_many() -> None:
    """Its connections count in all, and as strangers."""
    few = replace(FEW, proxies=frozenset({"9"}))
    connections = Connections(few)
    behind = entered(connections, 5, "9")

    assert not any(guest.out for guest in behind)
    entered(connections, 1, "9")
    assert behind[0].out


def test_known_connection_is_never_turned_out() -> None:
    """Strangers turn out strangers; where all are known another is refused, and told why."""
    connections = Connections(FEW)
    known = entered(connections, 3)
    for guest in known:
        connections.know(guest)
    stranger, last = entered(connections, 2)
    assert stranger.out
    connections.know(last)

    assert "4 connections of this address" == connections.enter(Guest())
    assert not any(guest.out for guest in (*known, last))


def test_address_with_most_strangers_makes_room_for_another_address() -> None:
    """One address does not keep the others out."""
    connections = Connections(FEW)
    many = entered(connections, 3, "1")
    few = entered(connections, 2, "2")

    entered(connections, 1, "3")

    assert [True, False, False] == [guest.out for guest in many]
    assert [False, False] == [guest.out for guest in few]


def test_connections_that_left_are_not_counted() -> None:
    """Whatever came, became known and left in whatever order: nothing of it stays."""
    draw = random.Random(5)
    connections = Connections(FEW)
    inside: list[Guest] = []
    for _ in range(3_000):
        guest = Guest(draw.choice("123"))
        if not connections.enter(guest):
            inside.append(guest)
        inside = [one for one in inside if not one.out]
        assert len(inside) == len(connections) <= FEW.connections
        assert connections.strangers <= FEW.strangers
        for one in [one for one in inside if draw.random() < 0.3]:
            connections.know(one)
        for one in [one for one in inside if draw.random() < 0.3]:
            connections.leave(one)
            connections.leave(one)
            inside.remove(one)
    for one in inside:
        connections.leave(one)

    assert (0, 0, ()) == (len(connections), connections.strangers, connections.everybody())
    entered(connections, 3, "1")


def test_websocket_takes_the_place_of_the_request_that_opened_it() -> None:
    """A stranger stays one, and is turned out under its new name; who is known stays known."""
    connections = Connections(FEW)
    request, socket = Guest(), Guest()
    connections.enter(request)
    connections.become(request, socket)
    entered(connections, 3)

    assert (True, False) == (socket.out, request.out)


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("10.1.2.3", "10.1.2.3"),
        ("::ffff:10.1.2.3", "10.1.2.3"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("2001:db8:1:2::9", "2001:db8:1:2::"),
        ("fe80::1%eth0", "fe80::"),
        ("", ""),
    ],
)
def test_address_is_what_one_client_has(host: str, address: str) -> None:
    """An IPv6 client has a whole /64 to come from."""
    assert address == address_of(host)


def test_pace_lets_a_burst_through_and_says_when_more_is_within_it() -> None:
    """What is over it is owed; a clock that goes back owes nothing more."""
    pace = Pace(10, 20, 100.0)

    assert 0.0 == pace.take(20, 100.0)
    assert 0.5 == pace.take(5, 100.0)
    assert 0.6 == pytest.approx(pace.take(1, 100.0))
    assert 0.6 == pytest.approx(pace.take(0, 90.0))
    assert 0.0 == pace.take(4, 91.0)
    assert 0.0 == pace.take(20, 1_000.0)
    assert 0.1 == pytest.approx(pace.take(1, 1_000.0))


def frame(kind: int, payload: bytes, *, last: bool = True) -> bytes:
    """A client's frame, as RFC 6455 has it."""
    size = len(payload)
    if size < 126:
        length = bytes((0x80 | size,))
    elif size < 65_536:
        length = b"\xfe" + size.to_bytes(2, "big")
    else:
        length = b"\xff" + size.to_bytes(8, "big")
    return bytes((kind | (0x80 if last else 0),)) + length + b"mask" + payload


def test_frames_are_counted_however_they_are_cut() -> None:
    """Their number, those that bring no message, and never more at once than was asked for."""
    draw = random.Random(9)
    for _ in range(200):
        kinds = [draw.choice([0, 1, 2, 8, 9, 10]) for _ in range(draw.randint(1, 12))]
        sizes = [draw.choice([0, 1, 125, 126, 300, 65_535, 70_000]) for _ in kinds]
        stream = b"".join(frame(k, bytes(s)) for k, s in zip(kinds, sizes, strict=True))
        frames, counted, empty, seen = Frames(), 0, 0, b""
        while stream:
            came, stream = stream[: (n := draw.randint(1, 9_000))], stream[n:]
            at = 0
            while at < len(came):
                cut = frames.cut(came, at, 1_000, 2)
                assert at < cut.end <= at + 1_000 and cut.frames <= 2
                seen += came[at : cut.end]
                at, counted, empty = cut.end, counted + cut.frames, empty + cut.empty
        assert len(kinds) == counted
        assert sum(kind in (0, 8, 9, 10) for kind in kinds) == empty
        assert sum(sizes) < len(seen)


class Line(asyncio.Transport):
    """A transport that notes what is asked of it."""

    def __init__(self) -> None:
        self.reading = True
        self.closing = self.aborted = False
        self.unread = 0

    def pause_reading(self) -> None:
        assert self.reading
        self.reading = False

    def resume_reading(self) -> None:
        assert not self.reading
        self.reading = True

    def is_closing(self) -> bool:
        return self.closing

    def get_write_buffer_size(self) -> int:
        return self.unread

    def close(self) -> None:
        self.closing = True

    def abort(self) -> None:
        self.closing = self.aborted = True


class Reader(Guest):
    """Takes two bytes in a turn."""

    def __init__(self) -> None:
        super().__init__()
        self.parts: list[bytes] = []
        self.room = True
        self.pause = 0.0

    def take(self, data: bytes, at: int) -> Taken:
        self.parts.append(data[at : at + 2])
        return Taken(min(len(data), at + 2), self.pause)

    def has_room(self) -> bool:
        return self.room


def played(scene: Any) -> None:
    """Play a scene with a wire, its transport and its reader."""

    async def play() -> None:
        line, reader = Line(), Reader()
        wire = Wire(line, reader, asyncio.get_running_loop(), 0.01)
        await scene(wire, line, reader)

    asyncio.run(play())


def test_wire_gives_what_came_in_turns_and_reads_nothing_meanwhile() -> None:
    """In order, none of it twice; reading goes on when all is taken."""

    async def scene(wire: Wire, line: Line, reader: Reader) -> None:
        wire.came(b"abcde")
        assert ([b"ab"], False) == (reader.parts, line.reading)
        await asyncio.sleep(0)
        assert [b"ab", b"cd"] == reader.parts
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert ([b"ab", b"cd", b"e"], True) == (reader.parts, line.reading)

    played(scene)


def test_wire_reads_on_when_no_reason_to_pause_is_left() -> None:
    """A reader that has enough, a client that does not read, and what is held, in any order."""

    async def scene(wire: Wire, line: Line, reader: Reader) -> None:
        wire.came(b"abcd")
        wire.pause_reading()
        wire.block()
        await asyncio.sleep(0.01)
        assert [b"ab"] == reader.parts
        wire.resume_reading()
        await asyncio.sleep(0.01)
        assert ([b"ab"], False) == (reader.parts, line.reading)
        wire.unblock()
        await asyncio.sleep(0.01)
        assert ([b"ab", b"cd"], True) == (reader.parts, line.reading)
        reader.room = False
        wire.came(b"ef")
        await asyncio.sleep(0.01)
        assert not line.reading
        reader.room = True
        wire.go_on()
        await asyncio.sleep(0.01)
        assert ([b"ab", b"cd", b"ef"], True) == (reader.parts, line.reading)

    played(scene)


def test_wire_takes_no_more_before_the_pace_allows_it() -> None:
    """Also when all that came is taken: what comes next waits in the kernel."""

    async def scene(wire: Wire, line: Line, reader: Reader) -> None:
        reader.pause = 0.02
        began = asyncio.get_running_loop().time()
        wire.came(b"ab")
        assert not line.reading
        while not line.reading:
            await asyncio.sleep(0.001)
        assert asyncio.get_running_loop().time() - began >= 0.015

    played(scene)


def test_client_that_reads_slowly_is_not_stuck_and_one_that_does_not_is() -> None:
    """It is asked for progress: some of what it leaves unread, in each while."""

    async def scene(wire: Wire, line: Line, reader: Reader) -> None:
        now = asyncio.get_running_loop().time()
        assert not wire.is_stuck(now + 100, 10)
        line.unread = 300_000
        wire.block()
        assert not wire.is_stuck(now + 9, 10)
        line.unread = 200_000
        assert not wire.is_stuck(now + 11, 10)
        line.unread = 190_000
        assert not wire.is_stuck(now + 20, 10)
        assert wire.is_stuck(now + 22, 10)
        wire.unblock()
        assert not wire.is_stuck(now + 100, 10)

    played(scene)


def test_what_all_leave_unread_is_bounded() -> None:
    """Whoever has left something for longest is cut; who has read is not counted."""

    async def play() -> None:
        door = Door(Limits(unread_bytes=300))
        first, second, third, fourth = (Guest() for _ in range(4))
        door.blocked(first, 150)
        door.blocked(second, 100)
        door.unblocked(first)
        door.blocked(third, 150)
        assert not any(one.out for one in (first, second, third))
        door.blocked(fourth, 100)
        assert [False, True, False, False] == [o.out for o in (first, second, third, fourth)]
        door.leave(third)
        door.blocked(first, 200)
        assert not third.out and not fourth.out and not first.out

    asyncio.run(play())


def test_wire_that_is_closed_and_does_not_go_is_cut() -> None:
    """Nothing that came is taken any more."""

    async def scene(wire: Wire, line: Line, reader: Reader) -> None:
        wire.came(b"abcd")
        wire.close()
        assert not line.aborted
        while not line.aborted:
            await asyncio.sleep(0.001)
        assert [b"ab"] == reader.parts

    played(scene)


def test_bounds_count_all_of_a_request_that_is_no_body() -> None:
    """Headers, trailers, the path, what frames chunks, and blank lines before a request."""
    limits = Limits(head_bytes=100, headers=3, target_bytes=50, whole_bytes=200, part_bytes=10)
    bounds = Bounds(limits)
    bounds.begin_request()
    assert bounds.count_target(50) is None
    assert [None] * 3 == [bounds.count_header(10) for _ in range(3)]
    assert bounds.count_header(1) is not None
    for part in range(21):
        bounds.begin_body()
        bounds.begin_part(10)
        assert (part == 20) == (bounds.too_much is not None)
    bounds.end_request()
    for part in range(12):
        bounds.begin_part(10)
        assert (part == 11) == (bounds.too_much is not None)
    bounds.begin_request()
    assert bounds.count_target(51) is not None


def test_figures_of_the_door_are_those_of_its_document() -> None:
    """Whoever changes one of them changes what clients are told."""
    said = " ".join((Path(__file__).parents[2] / "docs" / "api.md").read_text().split())
    has = Limits()
    for figure in (
        f"a path over {has.target_bytes >> 10} KiB, over {has.headers} headers, or"
        f" {has.head_bytes >> 10} KiB of both",
        f"more than {has.strangers_frames} frames, or {has.strangers_bytes >> 10} KiB, before a",
        f"beyond {has.empty_frames} a second ({has.empty_frames_at_once} at once)",
        f"Of {has.frames:,} messages a second and {has.frame_bytes >> 20} MiB more is not read",
        f"has not taken {PROGRESS_BYTES >> 10} KiB of that in a minute",
        f"(without a key: in {has.strangers_unread_seconds:g} seconds)",
        f"or {outbox.BYTES_WAITING >> 20} MiB of them",
        f"text of at most {LONGEST_ID} characters",
    ):
        assert figure in said
    assert 60 == has.unread_seconds


def test_outbox_is_bounded_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few large answers fill it as many small ones do; updates wait for room earlier."""
    monkeypatch.setattr(outbox, "BYTES_WAITING", 10_000)

    async def play() -> None:
        box = Outbox()
        assert box.tell([{"text": "x" * 2_600}])
        assert not box.tell([{}])
        for _ in range(2):
            box.say("orders", "x" * 3_000)
        assert not box.full.is_set()
        box.say("orders", "x" * 3_000)
        assert box.full.is_set()
        for _ in range(3):
            await box.next()
        await box.room()

    asyncio.run(play())


@pytest.mark.parametrize("said", ["x" * LONGEST_ID, 2**63 - 1, None, True, 7])
def test_short_id_is_echoed(said: Any) -> None:
    """What a client counts or names its messages by."""
    assert said == id_of({"id": said}) == echoed({"id": said})


@pytest.mark.parametrize("said", ["x" * (LONGEST_ID + 1), 2**63, ["x"], {"x": 1}])
def test_long_id_is_refused_by_its_name(said: Any) -> None:
    """It would be kept until the answer is read."""
    with pytest.raises(InvalidField) as refusal:
        id_of({"id": said})

    assert "id" == refusal.value.details["field"]
    assert echoed({"id": said}) is None


def test_kernel_asks_after_silent_peers() -> None:
    """What a listener takes in is ended when its peer has vanished."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        notice_the_vanished(listening, 45)
        with socket.create_connection(listening.getsockname()):
            taken, _ = listening.accept()
            with taken:
                assert taken.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
                assert 30 == taken.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE)
                assert 45_000 == taken.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
