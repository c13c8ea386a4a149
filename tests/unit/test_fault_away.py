"""That the store is away is said once, and that it is back once."""

from __future__ import annotations

from application.log.away import LAST_BACKOFF, Away


class Heard:
    """What was said, and a clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 0.0
        self.said: list[str] = []
        self.away = Away(self.said.append, lambda: self.now)


def test_store_that_is_away_is_one_line_however_often_it_is_asked() -> None:
    """The first error is said, in one line; then nothing until the store is back."""
    heard = Heard()
    for number in range(290):
        heard.away.gone(f"connection {number}\n\trefused")
    assert ["the store is away, and is asked again until it is back: connection 0 refused"] == (
        heard.said
    )
    assert heard.away.lasts
    heard.now = 61.5
    heard.away.back()
    heard.away.back()
    assert heard.said[1:] == ["the store is back after 61.5 s"]
    assert not heard.away.lasts
    heard.away.gone("again")
    assert 3 == len(heard.said)


def test_store_that_is_away_is_asked_less_and_less_often() -> None:
    """Up to once a second; a store that was back is asked at once when it goes again."""
    heard = Heard()
    heard.away.gone("away")
    pauses = [heard.away.pause() for _ in range(12)]
    assert pauses == sorted(pauses)
    assert LAST_BACKOFF == pauses[-1] == max(pauses)
    heard.away.back()
    heard.away.gone("away")
    assert pauses[0] == heard.away.pause()
