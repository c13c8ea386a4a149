"""What FIX.md says of the session layer's bounds is what they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from api.fix import codec
from api.fix.session import connection, gaps, liveness, outgoing, registry, state, waiting

DOCUMENT = (Path(codec.__file__).parent / "FIX.md").read_text()
LIMITS = registry.AcceptorLimits()


@pytest.mark.parametrize(
    "said",
    [
        f"| {LIMITS.connections:,}; {LIMITS.unknown}; {LIMITS.unknown_of_an_address} | closed at",
        f"| {LIMITS.logon_seconds:g} seconds, {connection.FIRST_BYTES // 1024} kB | closed |",
        f"| a message | {codec.MAX_BODY // 1024} kB | garbled |",
        f"| {gaps.AHEAD_MOST:,}, {gaps.AHEAD_BYTES >> 20} MB | dropped",
        f"| ResendRequests that wait | {waiting.RESENDS_MOST} | Reject 373=99 |",
        f"others have their turn | {connection.TURN_MESSAGES} | the rest waits |",
        f"| {connection.UNREAD_MESSAGES:,}; {outgoing.QUEUE_MOST:,} | it is not listened to",
        f"numbers reserved ahead, {outgoing.RESERVED:,} at a time",
        f"TestRequest after {liveness.TEST_AFTER} intervals",
        f"after {liveness.GONE_AFTER} intervals of silence",
        f"asked for again after {gaps.ASK_AGAIN_SECONDS:g} seconds, three times in all",
    ],
)
def test_document_says_the_bounds_of_a_session(said: str) -> None:
    """A figure that changes changes in the document, too."""
    assert said in " ".join(DOCUMENT.split())


def test_document_says_the_seconds_in_words() -> None:
    """Two for whoever is told of his error, five for the old connection and the numbers."""
    assert (2.0, 5.0, 5.0, 3) == (
        state.CONDEMNED_SECONDS,
        liveness.SUSPECT_SECONDS,
        outgoing.SAVED_WITHIN_SECONDS,
        gaps.ASKED_MOST,
    )
    text = " ".join(DOCUMENT.split())
    assert "the client has two seconds to close the connection itself" in text
    assert "the old one has five seconds to show that the client is there" in text
    assert "stored with the next report, and every five seconds" in text
