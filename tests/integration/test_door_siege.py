"""The benchmark of sieges on a small scale: every attack is what it says, and some are tried."""

from __future__ import annotations

import pytest

from bench import siege
from bench.siege_assault import as_given
from bench.siege_attacks import FIX, HTTP, all_of

KEY = {"id": "NX1", "secret": "s"}


@pytest.mark.slow
def test_siege_tries_a_venue_and_a_listener_and_judges_the_worst() -> None:
    """Memory and descriptors are judged on any machine; how quick it is depends on this one."""
    tried = ["one endless header", "empty pings, quotes", "silent connections, FIX"]

    result = siege.run(seconds=0.4, turns=1, only=tried, say=lambda _: None)

    assert tried == list(result["figures"])
    for of_attack in result["figures"].values():
        assert of_attack["connections"] > 0
        assert of_attack["p99_ms"] > 0 < of_attack["p99_ms beside a listener"]
    met = {goal["name"]: goal["met"] for goal in result["goals"]}
    assert met.pop("times_a_listeners_p99") in (True, False)
    assert {
        "requests_not_answered": True,
        "megabytes_more": True,
        "megabytes_kept": True,
        "descriptors_left": True,
    } == met


def test_siege_has_attacks_over_every_door() -> None:
    """HTTP, the stream, a channel and FIX; each has a name of its own and does something."""
    attacks = all_of(KEY)
    names = [attack.name for attack in attacks]

    assert len(names) == len(set(names))
    assert {HTTP, FIX} == {attack.door for attack in attacks}
    for place in (b"/stream", b"/v2/quotes"):
        assert sum(place in attack.opening for attack in attacks) >= 7
    for attack in attacks:
        assert attack.repeated or attack.connections > 1
        assert isinstance(as_given(attack)["opening"], str)


def test_siege_is_judged_by_its_worst_attack() -> None:
    """One that harms is enough."""
    fine = {
        "times": 1.0,
        "not answered": 0,
        "megabytes more": 1,
        "megabytes kept": 0,
        "descriptors left": 0,
    }
    harmful = fine | {"times": 5.1, "descriptors left": 1}

    assert all(one["met"] for one in siege.goals({"a": fine}))
    judged = siege.goals({"a": fine, "b": harmful})
    assert ["times_a_listeners_p99", "descriptors_left"] == [
        one["name"] for one in judged if not one["met"]
    ]
