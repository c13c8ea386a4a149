"""A FIX session that asks for more than is decided in time is not read for a while."""

import pytest

from api.fix.application import gateway
from tests.model.fix_venue import FixVenue, RecordingLink
from tests.unit.test_fix_requests import mine, play


def test_session_with_too_much_under_way_is_not_read_until_half_of_it_is_done(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nothing of it is refused; one that asks for less is read all the time."""
    monkeypatch.setattr(gateway, "MOST_UNDER_WAY", 10)
    before: list[bool] = []

    async def much(venue: FixVenue, link: RecordingLink) -> None:
        for number in range(12):
            venue.send(link, "D", *mine(f"o{number}"))
        before.extend(link.held)
        await venue.application.settled()

    link = play(much)
    assert [True] == before
    assert [True, False] == link.held
    assert [] == link.refused

    async def little(venue: FixVenue, link: RecordingLink) -> None:
        for number in range(10):
            venue.send(link, "D", *mine(f"o{number}"))
        await venue.application.settled()

    assert [] == play(little).held
