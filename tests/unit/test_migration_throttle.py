"""How fast a backfill may go, and when."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta, timezone

import pytest

from migrations.move.throttle import LEAST_RATE, Stopped, Throttle, Window


def at(hour: int, minute: int = 0) -> datetime:
    """A time of some day."""
    return datetime(2026, 11, 30, hour, minute, tzinfo=UTC)


def test_window_over_midnight_is_open_on_both_sides_of_it() -> None:
    """Its end is not part of it, and other zones are told by UTC."""
    window = Window.parse("22:00-06:00")

    assert [False, True, True, True, False] == [
        window.open_at(at(*time)) for time in ((21, 59), (22, 0), (0, 0), (5, 59), (6, 0))
    ]
    in_tokyo = at(22).astimezone(timezone(timedelta(hours=9)))
    assert window.open_at(in_tokyo)
    assert "22:00-06:00 UTC" == str(window)


def test_window_within_a_day_is_closed_at_night() -> None:
    """One that ends after it begins is of one day."""
    window = Window.parse("09:30-10:00")

    assert [False, True, False] == [window.open_at(at(*t)) for t in ((9, 29), (9, 30), (10, 0))]


@pytest.mark.parametrize("text", ["", "22-06", "24:00-06:00", "22:60-06:00", "22:00 - 06:00"])
def test_window_that_names_no_times_is_refused(text: str) -> None:
    """With the text in the message."""
    with pytest.raises(ValueError, match=r"22:00-06:00|no times"):
        Window.parse(text)


def test_rate_holds_for_all_who_ask_together() -> None:
    """Two workers get half each: what one takes, the other waits for."""
    throttle = Throttle(rate=10_000)
    began = time.monotonic()
    workers = [
        threading.Thread(target=lambda: [throttle.take(100) for _ in range(10)]) for _ in range(2)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()

    # The last hundred need not be waited for.
    assert time.monotonic() - began >= 0.18


def test_slow_commits_slow_it_down_and_quick_ones_let_it_go_faster() -> None:
    """From the rate at which it still ends, and never below it; never above what is allowed."""
    throttle = Throttle(rate=3_000, latency_ms=5)
    assert LEAST_RATE == throttle.rate

    for _ in range(200):
        throttle.measured(1)
    assert 3_000 == throttle.rate
    for _ in range(200):
        throttle.measured(50)
    assert LEAST_RATE == throttle.rate


def test_so_many_slow_commits_as_there_are_anyhow_slow_nothing_down() -> None:
    """Two of the last hundred; the third does, and it goes no faster until one is forgotten."""
    throttle = Throttle(latency_ms=5)

    def after(*taken: float) -> float:
        for milliseconds in taken:
            throttle.measured(milliseconds)
        assert throttle.rate is not None
        return throttle.rate

    quick = after(*[1] * 98)
    twice_slow = after(9, 9)
    assert twice_slow > quick
    slower = after(9)
    assert slower < twice_slow
    assert slower == after(*[1] * 97)
    assert slower < after(*[1] * 3)


def test_without_limits_nothing_is_waited_for() -> None:
    """Commits that are slow slow nothing down when nobody asked for that."""
    throttle = Throttle()
    throttle.measured(1_000)

    assert throttle.rate is None
    throttle.take(10**9)


def test_who_is_stopped_waits_no_longer() -> None:
    """However long it would have had to."""
    throttle = Throttle(rate=1)
    stopping = threading.Timer(0.05, throttle.stop)
    stopping.start()
    with pytest.raises(Stopped):
        throttle.take(1_000_000)
        throttle.take(1)
    stopping.join()
