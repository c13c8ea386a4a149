"""Keys at the FIX door: who logs on with one, for what it is good, and its end."""

import asyncio
from typing import Any
from uuid import UUID, uuid4

import pytest

from api.auth import Principal
from api.fix.logon.checks import LogonChecks
from api.fix.ports import KeyShown, NotAdmitted, SessionRules
from api.fix.settings.gateway import GatewaySettings
from api.fix.settings.template import SessionTemplate
from api.refusals import NotAuthorized
from domain.errors import VenueUnavailable
from tests.fix_session import SESSION
from tests.fix_settings import session
from tests.fix_stage import run, stage
from tests.unit.test_fix_logon import HOME, Logon, Monotonic, admitted

ACCOUNT = UUID(session()["accounts"].popitem()[1])
BOTH = ("read", "trade")


class OneKey:
    """A key that is known, of an account and for some scopes."""

    def __init__(
        self, account_id: UUID | None, scopes: tuple[str, ...], away: bool = False
    ) -> None:
        self.who = Principal("NX1", account_id, "trader", scopes)
        self.away = away

    async def principal(self, key_id: str | None, secret: str | None) -> Principal:
        """Who holds it."""
        if self.away:
            raise VenueUnavailable("the store does not answer")
        if (key_id, secret) != ("NX1", "its secret"):
            raise NotAuthorized
        return self.who

    async def until_ended(self, key_id: str, secret: str) -> None:
        """Wait for ever."""
        await asyncio.Event().wait()


def door(keys: OneKey | None, **said: Any) -> LogonChecks:
    """The checks of a gateway with ALPHA, which logs on with a key."""
    told = {name: value for name, value in session(**said).items() if name != "password"}
    template = SessionTemplate.model_validate({**told, "keys": True})
    settings = GatewaySettings(failed_logons=3)
    templates = {template.session_id: template}
    return LogonChecks(templates, settings, monotonic=Monotonic(), keys=keys)


def logon(username: bytes = b"NX1", password: bytes = b"its secret") -> Logon:
    """What ALPHA sends."""
    return Logon(t49=b"ALPHA", t56=b"NEXUS", t553=username, t554=password)


def test_door_fix_session_logs_on_with_a_key_of_its_account() -> None:
    """The session knows with which, so that it ends with it; the secret is never written down."""
    rules = admitted(door(OneKey(ACCOUNT, BOTH)), logon())

    assert isinstance(rules, SessionRules)
    assert KeyShown("NX1", "its secret") == rules.key
    assert "its secret" not in repr(rules)


@pytest.mark.parametrize(
    ("keys", "message", "kind", "why"),
    [
        (
            OneKey(ACCOUNT, BOTH),
            logon(password=b"wrong"),
            "trade",
            "no live key, or another secret",
        ),
        (OneKey(ACCOUNT, BOTH), logon(username=b"\xff\n"), "trade", "or another secret"),
        (OneKey(uuid4(), BOTH), logon(), "trade", "key NX1 is of none of its accounts"),
        (OneKey(None, BOTH), logon(), "trade", "key NX1 is of none of its accounts"),
        (OneKey(ACCOUNT, ("read",)), logon(), "trade", "key NX1 lacks the scope trade"),
        (OneKey(ACCOUNT, ("trade",)), logon(), "drop-copy", "key NX1 lacks the scope read"),
        (OneKey(ACCOUNT, BOTH, away=True), logon(), "trade", "the store does not answer"),
        (None, logon(), "trade", "nobody here knows keys"),
    ],
)
def test_door_fix_key_that_is_not_good_for_a_session_opens_none(
    keys: OneKey | None, message: Logon, kind: str, why: str
) -> None:
    """Nothing is told; why stands in the log."""
    answer = admitted(door(keys, kind=kind), message)

    assert isinstance(answer, NotAdmitted)
    assert "" == answer.told and answer.reason.endswith(why)
    assert answer.reason.isprintable()


def test_door_fix_key_that_reads_opens_a_drop_copy() -> None:
    """What is only read needs no right to trade."""
    rules = admitted(door(OneKey(ACCOUNT, ("read",)), kind="drop-copy"), logon(), HOME)

    assert isinstance(rules, SessionRules)


def test_door_fix_session_ends_with_its_key() -> None:
    """A Logout that says so, as soon as the key is no good any more; no other session ends."""

    async def scene() -> None:
        rules = SessionRules(SESSION, key=KeyShown("NX1", "s"))
        async with stage(rules) as venue:
            client = await venue.client()
            await client.logon()
            venue.door.key_ends.set()
            assert "35=5|34=2|58=The key is not live any more" == await client.shown()

    run(scene)
