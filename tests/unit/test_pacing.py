"""Commits are spaced under load and only then."""

from application.writer.pacing import FROM_RATE, FULL_RATE, LONGEST_REST, Pacer


def fed(rate: float, seconds: float = 1.0) -> tuple[Pacer, float]:
    """A pacer that saw commands at a steady rate, a commit every 10 ms, and the last start."""
    pacer = Pacer()
    now = 100.0
    for _ in range(int(seconds / 0.01)):
        now += 0.01
        pacer.began(int(rate * 0.01), now)
    return pacer, now


def test_a_lone_command_is_committed_at_once():
    """When little comes in, nothing waits for company."""
    pacer, now = fed(FROM_RATE)

    assert pacer.rest(now + 0.000_1) <= 0


def test_commits_are_spaced_most_under_full_load():
    """From the full rate on, commits start a fixed time apart, and never further."""
    pacer, now = fed(2 * FULL_RATE)

    assert 0 < pacer.rest(now) <= LONGEST_REST
    assert pacer.rest(now + LONGEST_REST) <= 0


def test_spacing_grows_with_the_rate():
    """Between the two rates the wait is in proportion."""
    half, now = fed((FROM_RATE + FULL_RATE) / 2)
    full, then = fed(FULL_RATE)

    assert 0 < half.rest(now) < full.rest(then)


def test_a_quiet_spell_ends_the_spacing():
    """What came in a while ago does not hold a command up now."""
    pacer, now = fed(2 * FULL_RATE)

    pacer.began(1, now + 1.0)

    assert pacer.rest(now + 1.0) <= 0
