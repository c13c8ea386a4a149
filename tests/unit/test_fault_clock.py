"""A clock that jumps: what is believed of it, and what commands, timers and limits go by."""

from __future__ import annotations

from uuid import UUID

import pytest

from application.commands import CloseInstrument, OpenAccount, PlaceOrder, SetAccountLimits
from application.desk.desk import Desk
from application.ports import Clock
from application.writer.numbering import CommandClock, Numbering
from application.writer.timers import Timers
from domain.identifiers import Instant
from domain.terms import TimeInForce
from infrastructure.clock import SINCE_START, Beliefs, Doubted, SystemClock, VenueClock
from infrastructure.log.lease_watch import Beat, LeaseWatch
from infrastructure.log.memory import MemoryLog
from infrastructure.settings import Settings
from tests.model.memory_writer import MemoryWriter, on_a_writer
from tests.unit.test_timers import DAY, MONDAY, Venue

SECOND = 1_000_000
HOUR = 3_600 * SECOND
NOON = MONDAY + DAY // 2
BELIEFS = Beliefs(step=10 * SECOND, hold=900 * SECOND, most=25 * HOUR)


class Machine:
    """A machine whose two clocks are set."""

    def __init__(self) -> None:
        self.wall = NOON
        self.steady = 5 * HOUR
        self.said: list[str] = []

    def clock(self, origin: int | None = None, doubted: Doubted | None = None) -> VenueClock:
        """The clock of a process that starts now."""
        return VenueClock(
            BELIEFS,
            origin=origin,
            doubted=doubted,
            wall=lambda: self.wall * 1000,
            steady=lambda: self.steady * 1000,
            say=self.said.append,
        )

    def passes(self, micros: int) -> None:
        """Let time pass, on both."""
        self.wall += micros
        self.steady += micros


@pytest.mark.parametrize("jump", [HOUR, -HOUR, DAY, -DAY, 11 * SECOND, -11 * SECOND])
def test_jump_and_back_is_followed_by_nobody(jump: int) -> None:
    """While the machine's clock is somewhere else, time goes on as it passes; that is said twice,
    and afterwards everything is as it was.
    """
    machine = Machine()
    clock = machine.clock()
    assert NOON == clock.now()
    machine.wall += jump
    for passed in range(1, 600):
        machine.passes(SECOND)
        assert NOON + passed * SECOND == clock.now()
        assert jump == clock.off
    machine.wall -= jump
    assert machine.wall == clock.now()
    assert 0 == clock.off
    jumped, again = machine.said
    assert f" by {abs(jump) // SECOND:,} s; time goes on" in jumped
    assert "believed again" in again


@pytest.mark.parametrize("jump", [1, -1, 2 * SECOND, -2 * SECOND, 10 * SECOND])
def test_clock_that_is_put_right_by_little_is_followed_at_once(jump: int) -> None:
    """A leap second, a step of the time service: the machine's clock is the time."""
    machine = Machine()
    clock = machine.clock()
    clock.now()
    machine.wall += jump
    assert machine.wall == clock.now()
    machine.passes(DAY)
    assert machine.wall == clock.now()
    assert [] == machine.said


@pytest.mark.parametrize("jump", [HOUR, -HOUR, 25 * HOUR])
def test_jump_that_holds_is_believed_at_last(jump: int) -> None:
    """A machine that slept, or whose clock was wrong before: after a while it is right."""
    machine = Machine()
    clock = machine.clock()
    clock.now()
    machine.wall += jump
    clock.now()
    machine.passes(BELIEFS.hold - 1)
    assert machine.wall - jump == clock.now()
    machine.passes(1)
    assert machine.wall == clock.now()
    assert 0 == clock.off
    assert 2 == len(machine.said)


def test_clock_that_jumps_about_is_never_believed() -> None:
    """Only one place holds: each new jump is looked at anew."""
    machine = Machine()
    clock = machine.clock()
    clock.now()
    for jump in (HOUR, -2 * HOUR, 3 * HOUR, -4 * HOUR):
        machine.wall += jump
        for passed in (1, BELIEFS.hold - 2):
            clock.now()
            machine.passes(passed)
    assert 5 * HOUR + 4 * (BELIEFS.hold - 1) == machine.steady
    assert NOON + 4 * (BELIEFS.hold - 1) == clock.now()


@pytest.mark.parametrize("jump", [26 * HOUR, -26 * HOUR, 3_650 * DAY])
def test_jump_by_more_than_a_day_and_an_hour_is_never_believed(jump: int) -> None:
    """However long it holds: who starts the venue again says that the clock is right."""
    machine = Machine()
    clock = machine.clock()
    clock.now()
    machine.wall += jump
    clock.now()
    machine.passes(7 * DAY)
    assert NOON + 7 * DAY == clock.now()
    assert "never believed" in machine.said[0]
    assert machine.wall == machine.clock().now()


def test_process_that_starts_while_the_clock_is_wrong_goes_by_its_supervisors() -> None:
    """A writer that is started again in the middle of a jump has the time of the others."""
    machine = Machine()
    supervisors = machine.clock()
    supervisors.now()
    machine.wall += DAY
    machine.passes(SECOND)
    supervisors.now()
    assert NOON + SECOND == machine.clock(supervisors.origin).now()


def test_nobody_believes_a_jump_later_for_having_started_in_the_middle_of_it() -> None:
    """A process that is started while a jump is doubted believes it when the others do, and says
    nothing of it before.
    """
    machine = Machine()
    supervisors = machine.clock()
    supervisors.now()
    machine.wall += DAY
    supervisors.now()
    machine.passes(BELIEFS.hold - SECOND)
    before = len(machine.said)
    later = machine.clock(supervisors.origin, supervisors.doubted)
    assert machine.wall - DAY == later.now() == supervisors.now()
    assert before == len(machine.said)
    machine.passes(SECOND)
    assert machine.wall == later.now() == supervisors.now()


def test_jump_that_is_doubted_is_handed_on() -> None:
    """In the setting that tells a process where its supervisor's clock stands."""
    told = f"7@{SINCE_START() // 1000}@{DAY}@9"
    clock = VenueClock.of(Settings(clock_origin=told), bool)
    assert (7, (DAY, 9)) == (clock.origin, clock.doubted)
    assert [str(DAY), "9"] == clock.handed_on().split("@")[2:]


@pytest.mark.parametrize("told", ["5@99999999999999999999", None])
def test_origin_that_counts_from_another_moment_is_no_origin(told: str | None) -> None:
    """Of another machine, or of a clock that says something else: the machine's clock is taken."""
    settings = Settings(clock_origin=told)
    before = SystemClock().now()
    assert before <= VenueClock.of(settings, bool).now() <= SystemClock().now()


class SetClock:
    """A clock that stands where it is put."""

    def __init__(self) -> None:
        self.at = NOON

    def now(self) -> Instant:
        return self.at


def test_instants_go_on_by_half_where_the_log_is_ahead_of_the_clock() -> None:
    """A log whose end is an hour ahead: commands have different times, the newest never before
    another, and after two hours the clock has caught up.
    """
    clock, passed = SetClock(), [0]
    numbering = Numbering(0, clock, None, lambda: passed[0])
    desk = Desk()
    desk.moved_to(7, NOON + HOUR, 3)
    numbering.begin(desk)
    instants = []
    for _ in range(7_300):
        clock.at += SECOND
        passed[0] += SECOND
        instants.append(numbering.instant())
        numbering.spare_id()
    assert instants == sorted(set(instants))
    assert NOON + HOUR < instants[1] <= NOON + HOUR + SECOND
    assert NOON + HOUR + 1_800 * SECOND - SECOND <= instants[3_599] < NOON + HOUR + 1_801 * SECOND
    assert all(NOON + n * SECOND == at for n, at in enumerate(instants[7_201:], 7_202))


def test_instants_go_on_where_even_the_steady_clock_went_back() -> None:
    """It is never to; commands have times of their own all the same."""
    clock, passed = SetClock(), [DAY]
    numbering = Numbering(0, clock, None, lambda: passed[0])
    desk = Desk()
    desk.moved_to(7, NOON + DAY, 3)
    numbering.begin(desk)
    numbering.spare_id()
    passed[0] = 0
    instants = []
    for _ in range(5):
        numbering.spare_id()
        instants.append(numbering.instant())
        passed[0] += SECOND
    assert instants[1:] == sorted(set(instants[1:]))


def test_ids_grow_while_the_log_is_ahead_of_the_clock() -> None:
    """However many commands there are in no time at all."""
    clock, passed = SetClock(), [0]
    numbering = Numbering(0, clock, None, lambda: passed[0])
    desk = Desk()
    desk.moved_to(7, NOON + DAY, 3)
    numbering.begin(desk)
    ids = []
    for number in range(1_000):
        passed[0] += number % 3
        ids.append(numbering.spare_id())
    assert ids == sorted(set(ids))


@pytest.mark.parametrize("jump", [DAY, HOUR, -DAY])
def test_false_jump_expires_nobodys_orders_and_opens_no_other_session(jump: int) -> None:
    """A day order, and one good till tomorrow, outlive a clock that is a day ahead for minutes."""
    machine = Machine()
    venue = Venue(NOON)
    clock: Clock = machine.clock()
    venue.timers = Timers(lambda: venue.desk, venue.send, venue.calendar, clock)
    venue.list("BTC")
    venue.look()
    venue.place("BTC", "day")
    venue.place("BTC", "gtd", TimeInForce.GTD, NOON + 13 * HOUR)
    assert ["day", "gtd"] == venue.keys()
    clock.now()
    machine.wall += jump
    for _ in range(10):
        machine.passes(60 * SECOND)
        venue.clock.at = clock.now()
        assert [] == venue.look()
    machine.wall -= jump
    machine.passes(12 * HOUR)
    venue.clock.at = clock.now()
    assert CloseInstrument("BTC") in venue.look()
    assert ["gtd"] == venue.keys()


def test_timers_go_by_the_instants_that_commands_get() -> None:
    """What is due is due by the time that its command will have."""
    clock, passed = SetClock(), [0]
    numbering = Numbering(0, clock, None, lambda: passed[0])
    desk = Desk()
    desk.moved_to(7, NOON + HOUR, 3)
    numbering.begin(desk)
    now = CommandClock(numbering)
    first = now.now()
    passed[0] += 2 * SECOND
    assert first + SECOND == now.now() == numbering.instant()


def test_order_rate_outlives_a_clock_that_went_back() -> None:
    """Also a clock that is never to: who has sent nothing for a second may send again."""

    async def scene(writer: MemoryWriter) -> None:
        opened = await writer.send(OpenAccount("a", "", 1))
        assert opened.result is not None
        account = UUID(opened.result["account_id"])
        writer.passes(86_400)
        limits = SetAccountLimits(account, 0, 2)
        assert [""] == await writer.codes(limits)
        sent = [PlaceOrder(account, "NONE", 1, 2, 0, 10**8, 10**9, 0, key, 0) for key in "abcde"]
        assert "ORDER_RATE_EXCEEDED" == (await writer.codes(*sent[:3]))[2]
        writer.passes(-86_400)
        assert "ORDER_RATE_EXCEEDED" not in await writer.codes(*sent[3:])

    on_a_writer(MemoryLog(), scene)


def test_leader_is_silent_only_for_who_has_listened_all_the_time() -> None:
    """Beats are counted by the listener's own clock; what it did not hear, it cannot judge."""
    now = [0.0]
    watch = LeaseWatch(lambda: now[0])
    beat = Beat(1, "2026-11-30 12:00:00+00")
    assert 0 == watch.silent(beat)
    now[0] += 100.0
    assert 1.0 == watch.silent(beat), "it was away itself for most of that"
    for _ in range(40):
        now[0] += 0.1
        silent = watch.silent(beat)
    assert 5.0 == pytest.approx(silent)
    assert 0 == watch.silent(Beat(1, "2026-11-29 12:00:00+00")), "a clock that went back beats too"
    now[0] += 0.5
    assert 0 == watch.silent(Beat(2, "2026-11-29 12:00:00+00")), "another leader"
