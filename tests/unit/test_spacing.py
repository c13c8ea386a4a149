"""Spacing: at once while little comes in, together while much does."""

from projections.spacing import BUSY_COMMANDS_PER_SECOND, GATHER_SECONDS, Spacing


def pauses(
    commands: int, every: float, batches: int, spacing: Spacing | None = None
) -> list[float]:
    """The pauses after batches of so many commands that begin at even intervals and take 1 ms."""
    spacing = spacing or Spacing()
    return [spacing.pause(commands, 10 + n * every, 10 + n * every + 0.001) for n in range(batches)]


def test_first_events_after_a_pause_wait_for_nothing():
    """A handful at once in a quiet log is no load: the next one may come at once."""
    handful = BUSY_COMMANDS_PER_SECOND // 20
    assert [0.0] == pauses(handful, 1.0, 1)
    assert {0.0} == set(pauses(handful, 1.0, 50))


def test_one_client_that_waits_for_its_answers_is_never_spaced():
    """A command every ten milliseconds, for ever, is below what is busy."""
    assert {0.0} == set(pauses(1, 0.01, 5_000))


def test_load_is_gathered_within_a_tenth_of_a_second_and_for_as_long_as_it_lasts():
    """Under load a batch begins a fortieth of a second after the one before."""
    seen = pauses(2, 0.001, 1_000)
    spaced = next(n for n, pause in enumerate(seen) if pause)
    assert spaced <= 100
    assert {round(GATHER_SECONDS - 0.001, 6)} == {round(pause, 6) for pause in seen[spaced:]}


def test_load_that_is_gathered_stays_gathered():
    """Spaced batches are fewer and larger; that they are fewer does not look like quiet."""
    spacing = Spacing()
    pauses(2, 0.001, 200, spacing)
    commands = round(2 * BUSY_COMMANDS_PER_SECOND * GATHER_SECONDS)
    assert all(
        spacing.pause(commands, 10 + n * GATHER_SECONDS, 10.001 + n * GATHER_SECONDS)
        for n in range(8, 200)
    )


def test_quiet_after_load_is_served_at_once_again():
    """A fifth of a second after the rush the next event waits for nothing."""
    spacing = Spacing()
    pauses(50, 0.001, 1_000, spacing)
    assert 0.0 == spacing.pause(1, 11.2, 11.201)


def test_batch_that_took_long_is_followed_at_once():
    """Who is behind does not rest."""
    spacing = Spacing()
    assert 0.0 == [spacing.pause(4_000, 10 + n, 10.05 + n) for n in range(9)][-1]
