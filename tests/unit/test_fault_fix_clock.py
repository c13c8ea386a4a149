"""A clock of the venue's that is set logs nobody out whose own is right."""

from __future__ import annotations

import pytest

from api.fix.codec import Clock52
from tests.fix_talk import Talk

DAY = 86_400_000_000


@pytest.fixture
def talk() -> Talk:
    """A session that is logged on."""
    talk = Talk()
    talk.logon()
    return talk


def sent_at(micros: int) -> str:
    """SendingTime of an instant."""
    return "52=" + Clock52().text(micros).decode()


@pytest.mark.parametrize("jump", [DAY, -DAY, 3_600_000_000])
def test_nobody_is_logged_out_because_the_venues_clock_was_set(talk: Talk, jump: int) -> None:
    """A client whose clock goes on as it did at its logon is taken, and so is one that follows the
    venue's; who is right by neither is told so and leaves.
    """
    talk.times.forward(20)
    true = talk.times.now()
    talk.times.micros += jump
    assert [] == talk(2, f"35=0|{sent_at(true)}")
    assert [] == talk(3, f"35=0|{sent_at(true + jump)}")
    talk.times.forward(30)
    assert [] == talk(4, f"35=0|{sent_at(true + 30_000_000)}")
    rejected, logged_out = talk(5, f"35=0|{sent_at(true + jump // 2)}")
    assert rejected.startswith("35=3|45=5|") and "373=10" in rejected
    assert logged_out.startswith("35=5")
