"""The demo's clients read as anybody's should: what is away for a moment is asked for again."""

import asyncio

import httpx
import pytest

from api.demo.clients import DemoFailed, read

AWAY = httpx.Response(503, json={"detail": "the views are not there yet"}).content


class Door:
    """Somebody who is away for some questions and then answers."""

    def __init__(self, away: int) -> None:
        self.away = away
        self.asked = 0

    async def __call__(self, scope, receive, send) -> None:
        """Answer a request as an ASGI application does."""
        self.asked += 1
        there = self.asked > self.away
        headers = [] if there else [(b"retry-after", b"0")]
        status = 200 if there else 503
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b'{"symbol": "ACME"}' if there else AWAY})


def asked(door: Door, patience: float) -> dict[str, str]:
    """What a reader is told at this door."""

    async def ask() -> dict[str, str]:
        transport = httpx.ASGITransport(app=door)
        async with httpx.AsyncClient(transport=transport, base_url="http://venue") as http:
            return await read(http, "/v2/assets/ACME", patience)

    return asyncio.run(ask())


def test_views_that_are_built_anew_are_asked_again():
    """A venue that goes on with an older program's store is read once its views are there."""
    door = Door(away=3)

    assert {"symbol": "ACME"} == asked(door, 60)
    assert 4 == door.asked


def test_a_venue_that_stays_away_is_said_to_be():
    """Patience ends, and the reader says what the venue said."""
    with pytest.raises(DemoFailed, match="the views are not there yet"):
        asked(Door(away=10**9), 0)
