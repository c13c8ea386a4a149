"""Whatever a session asks, as long as it is FIX 4.4, is answered; nothing is a fault of ours."""

from __future__ import annotations

import asyncio
import logging
import random

import pytest

from api.fix.application.gateway import MESSAGES
from api.fix.application.terms import MarketDataTerms, SessionTerms
from api.fix.validation import validate
from tests.model.fix_market_venue import market_venue
from tests.model.fix_venue import (
    PATIENCE,
    SESSION_ID,
    STRICTLY,
    FixVenue,
    RecordingLink,
    change,
    is_fix_44,
    message,
)

MESSAGES_SENT = 1_500
VALUES: dict[int, tuple[str, ...]] = {
    1: ("A", "B", "Z"),
    11: ("n1", "n2", "n3", "ä", "x" * 200),
    15: ("USD", "EUR"),
    18: ("6", "a", "6 a", "1", "G"),
    37: ("NONE", "00000000-0000-0000-0000-000000000001"),
    38: ("1", "10", "0", "-3", "0.5", "99999999999999999999", "000", "10.", ".5"),
    40: ("1", "2", "3", "4", "P", "J"),
    41: ("n1", "n2", "never"),
    44: ("100", "99.99", "0.00000000001", "-1", "123456789012345678901234567890"),
    54: ("1", "2", "5"),
    55: ("X", "NOPE", "[N/A]", "ü"),
    59: ("0", "1", "2", "3", "4", "6", "7", "5"),
    66: ("l1",),
    68: ("1", "2", "3"),
    75: (("20261121"), "20260230", "99991231", "00000101"),
    99: ("90", "110", "0"),
    114: ("Y", "N"),
    126: ("20261122-12:00:00", "20261122-23:59:60", "99991231-23:59:59.999", "19700101-00:00:00"),
    152: ("500", "0.001"),
    211: ("-5", "5", "0", "100000000000000000", "0.1"),
    320: ("r1",),
    394: ("3",),
    432: ("20261122", "99991231", "00010101"),
    530: ("1", "7", "5"),
    559: ("0", "4", "1"),
    568: ("t1",),
    569: ("0", "1", "3"),
    584: ("s1",),
    585: ("1", "7", "8"),
    835: ("0", "1"),
    836: ("0", "1", "2"),
    1385: ("1", "2", "9"),
    43: ("Y", "N"),
    97: ("Y", "N"),
}
OF_MARKET_DATA: dict[int, tuple[str, ...]] = {
    262: ("m1", "m2", "m3", "ä", "x" * 200),
    263: ("0", *"1111", "2"),
    264: (*"000115", "2000", "2001", "-1", "9" * 30, "007"),
    265: ("0", *"1111"),
    266: (*"YYYYYYYYY", "N"),
    547: (*"NNNNNNNNN", "Y"),
}
RARE_OF_MARKET_DATA = {546: ("1", "1 2"), 286: ("0",)}
KEPT = {
    b"AB": (11, 38, 40, 54),
    b"AC": (11, 38, 40, 41, 54),
    b"AD": (568, 569),
    b"AF": (584, 585),
    b"D": (11, 38, 40, 54, 55),
    b"E": (66, 394, 68),
    b"F": (11, 41, 54, 55),
    b"G": (11, 38, 40, 41, 54, 55),
    b"H": (11, 54, 55),
    b"q": (11, 530),
    b"V": (262, 263),
    b"x": (320, 559),
}
"""What each type has, as no session lets it through without."""


def drawn(pick: random.Random) -> tuple[str, list[tuple[int, str]]]:
    """A message of some type, with any of what it may say."""
    kind = pick.choice(sorted(MESSAGES))
    if kind == b"V":
        return "V", market_data(pick)
    if kind in (b"D", b"F", b"G") and pick.random() < 0.7:
        return kind.decode(), nearly(pick)
    tags = [tag for tag in VALUES if pick.random() < 0.35 or tag in KEPT[kind]]
    pick.shuffle(tags)
    fields = [(tag, pick.choice(VALUES[tag])) for tag in tags]
    if kind == b"E":
        count = pick.randint(0, 3)
        fields.append((73, str(count)))
        for number in range(count):
            fields += [(11, f"e{pick.randint(0, 99)}"), (67, str(number + 1))]
            fields += [(tag, pick.choice(VALUES[tag])) for tag in (1, 38, 40, 44, 54, 55, 99)]
    if kind in (b"AB", b"AC"):
        fields = [(tag, value) for tag, value in fields if tag != 54]
        fields.append((54, pick.choice(("B", "C", "1"))))
        count = pick.randint(0, 5)
        fields.append((555, str(count)))
        for _ in range(count):
            fields += [(600, pick.choice(VALUES[55])), (624, pick.choice(("1", "2", "5")))]
            fields.append((623, pick.choice(("1", "2", "0", "0.5"))))
    return kind.decode(), fields


def market_data(pick: random.Random) -> list[tuple[int, str]]:
    """A request for market data, with any of what it may say."""
    fields = [
        (tag, pick.choice(values))
        for tag, values in OF_MARKET_DATA.items()
        if pick.random() < 0.9 or tag in KEPT[b"V"]
    ]
    fields += [
        (tag, pick.choice(values))
        for tag, values in RARE_OF_MARKET_DATA.items()
        if pick.random() < 0.02
    ]
    kinds = pick.choices("00000111112222235", k=pick.randint(1, 3))
    fields += [(267, str(len(kinds))), *((269, kind) for kind in kinds)]
    symbols = pick.choices((*"XXXXXXXXX", "NOPE", "[N/A]", "y" * 99), k=pick.randint(1, 2))
    fields.append((146, str(len(symbols))))
    for symbol in symbols:
        fields.append((55, symbol))
        fields += [(48, "X"), (22, pick.choice("81"))] if pick.random() < 0.3 else []
    return fields


def nearly(pick: random.Random) -> list[tuple[int, str]]:
    """An order, or the change of one, that is as it should be but for one field at most."""
    name, previous = (f"n{pick.randint(0, 400)}" for _ in range(2))
    fields = dict(change(name, previous, t1="A", t44=pick.choice(("99", "100", "101"))))
    if pick.random() < 0.5:
        tag = pick.choice(sorted(VALUES))
        fields[tag] = pick.choice(VALUES[tag])
    return list(fields.items())


@pytest.mark.parametrize("seed", [1, 2])
def test_any_request_is_answered(seed: int, caplog: pytest.LogCaptureFixture) -> None:
    """By a report, a reject or a refusal that names a cause; and all of it is FIX 4.4."""
    caplog.set_level(logging.ERROR, "nexus.fix")

    async def scene(venue: FixVenue) -> None:
        accounts = {"A": venue.a, "B": venue.b}
        told_of = MarketDataTerms(rate=1_000, instruments=4)
        venue.terms[SESSION_ID] = SessionTerms(accounts, market_data=told_of)
        link = RecordingLink()
        await venue.log_on(link)
        pick = random.Random(seed)
        for _ in range(MESSAGES_SENT):
            before = answers_to(link)
            kind, fields = drawn(pick)
            venue.send(link, kind, *fields)
            await venue.told(link)
            if kind != "V":
                assert answers_to(link) > before, "no answer"
            elif (263, "2") not in fields:
                # What is subscribed is told in its session's next turn.
                async with asyncio.timeout(PATIENCE):
                    while answers_to(link) == before:
                        await asyncio.sleep(0.001)
        for body in link.answers + link.bodies:
            assert is_fix_44(body)
        assert not [said for _, said, _ in link.refused if "venue's own" in said]
        assert len(link.bodies) > 50 and len(link.answers) > 50
        assert {b"W", b"X", b"Y"} <= {body.msg_type for body in link.answers}

    async def whole() -> None:
        async with market_venue() as (venue, _):
            await scene(venue)

    asyncio.run(whole())
    assert [] == caplog.records


def answers_to(link: RecordingLink) -> int:
    """How much a session was told."""
    told = len(link.reports) + len(link.answers)
    return told + len(link.refused) + len(link.rejected)


def test_a_message_that_only_looks_like_one_is_no_message() -> None:
    """What is drawn here is looser than what sessions let through."""
    assert None is not validate(message("D", (11, "one")), STRICTLY)
