"""Whether a logon is let in: who comes from where, with what to show for it, and when.

A client that is refused learns that it is and no more; why is for the log of the process, on one
line without a password. What is wrong takes as long to refuse as a wrong password.
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol

from api.auth import Principal
from api.fix.logon.attempts import FailedLogons
from api.fix.logon.passwords import NOBODYS_HASH, Passwords, TooManyLogons, Verify
from api.fix.logon.rules import rules_of
from api.fix.ports import (
    KeyShown,
    NotAdmitted,
    Peer,
    PeerCertificate,
    Received,
    SessionId,
    SessionRules,
)
from api.fix.settings.gateway import GatewaySettings
from api.fix.settings.template import Certificate, Kind, SessionTemplate
from api.refusals import NotAuthorized
from domain.api_key import READ, TRADE
from domain.errors import VenueUnavailable
from domain.identifiers import Instant, iso

SENDER, TARGET, USERNAME, PASSWORD = 49, 56, 553, 554
SHOWN = 150
"""How much of a name that somebody gives is written to a log."""


class Keys(Protocol):
    """Who knows the keys."""

    async def principal(self, key_id: str | None, secret: str | None) -> Principal:
        """Who holds a key; raises NotAuthorized or VenueUnavailable."""
        ...

    async def until_ended(self, key_id: str, secret: str) -> None:
        """Return when a key and its secret let nobody in any more."""
        ...


class Attempt(NamedTuple):
    """A Logon that came, by what it shows; it is never written down whole."""

    session_id: SessionId
    peer: Peer
    username: bytes
    password: bytes

    def __repr__(self) -> str:
        return f"Attempt({_shown(self.session_id)} from {self.peer.address})"


class LogonChecks:
    """Lets clients in, by the templates of their sessions (`api.fix.ports.Doorkeeper`)."""

    def __init__(
        self,
        templates: Mapping[SessionId, SessionTemplate],
        gateway: GatewaySettings,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        verify: Verify | None = None,
        keys: Keys | None = None,
    ) -> None:
        """`keys` is who knows the keys that sessions may log on with."""
        self._keys = keys
        self._templates = templates
        self._failed = FailedLogons(gateway.failed_logons, gateway.failed_window_seconds, monotonic)
        self._passwords = Passwords(gateway.passwords_at_once, gateway.passwords_waiting, verify)

    async def admit(self, logon: Received, peer: Peer, now: Instant) -> SessionRules | NotAdmitted:
        """Judge a Logon. Why it is refused is told to nobody but a client that has shown who it
        is; an address of which too many have failed is not even listened to.
        """
        attempt = _attempt(logon, peer)
        if not self._failed.may_try(peer.address):
            # Said when the last of them failed: a flood of logons is no flood of lines.
            return NotAdmitted("")
        template = self._templates.get(attempt.session_id)
        wrong = self._wrong_before(template, attempt)
        key = None
        try:
            # Compared whatever is wrong already: how long it takes tells nothing.
            if wrong is None and template is not None and template.keys:
                key = KeyShown(
                    *(one.decode("latin-1") for one in (attempt.username, attempt.password))
                )
                wrong, fits = await self._wrong_with_key(template, key), True
            else:
                fits = await self._shows_password(template if wrong is None else None, attempt)
        except VenueUnavailable as away:
            return NotAdmitted(f"{_shown(attempt.session_id)}: {away.message}")
        except TooManyLogons:
            return NotAdmitted(f"{_shown(attempt.session_id)}: too many logons wait for their turn")
        if wrong is None and not fits:
            wrong = "wrong password"
        if wrong is not None or template is None:
            self._failed.note(peer.address)
            said = f"{_shown(attempt.session_id)}: {wrong}"
            if not self._failed.may_try(peer.address):
                said += "; no more logons of this address are listened to for a while"
            return NotAdmitted(said)
        return _in_its_hours(template, now, key)

    async def until_ended(self, key: KeyShown) -> None:
        """Return when a key lets nobody in any more."""
        assert self._keys is not None, "who logged on with a key was let in by those who know it"
        await self._keys.until_ended(key.key_id, key.secret)

    def close(self) -> None:
        """Let nobody in any more."""
        self._passwords.close()

    def _wrong_before(self, template: SessionTemplate | None, attempt: Attempt) -> str | None:
        """What is wrong, the password aside."""
        if template is None:
            return "no such session"
        if not template.may_come_from(attempt.peer.address):
            return "not from one of its networks"
        shown = attempt.peer.certificate
        if template.certificate is not None and not _fits(template.certificate, shown):
            return "not its certificate" if shown else "without its certificate"
        if template.username is not None and not hmac.compare_digest(
            template.username.encode(), attempt.username
        ):
            return "wrong username"
        return None

    async def _wrong_with_key(self, template: SessionTemplate, key: KeyShown) -> str | None:
        """What is wrong with a key: whose it is, or what it is good for."""
        if self._keys is None:
            return "nobody here knows keys"
        try:
            who = await self._keys.principal(key.key_id, key.secret)
        except NotAuthorized:
            return "no live key, or another secret"
        if who.account_id not in template.accounts.values():
            return f"key {who.key_id} is of none of its accounts"
        needed = (READ,) if template.kind is Kind.DROP_COPY else (READ, TRADE)
        lacking = [scope for scope in needed if scope not in who.scopes]
        return f"key {who.key_id} lacks the scope {lacking[0]}" if lacking else None

    async def _shows_password(self, template: SessionTemplate | None, attempt: Attempt) -> bool:
        """Whether the password fits; a session without one is known by its certificate."""
        hashed = NOBODYS_HASH
        if template is not None:
            if template.password is None:
                return True
            hashed = template.password.get_secret_value()
        return await self._passwords.fits(
            attempt.password, hashed, lambda: self._failed.may_try(attempt.peer.address)
        )


def _in_its_hours(
    template: SessionTemplate, now: Instant, key: KeyShown | None
) -> SessionRules | NotAdmitted:
    schedule = template.schedule
    if schedule is None:
        return rules_of(template, None, key)
    span = schedule.span_at(now)
    if span is not None:
        return rules_of(template, span, key)
    after = schedule.span_after(now)
    told = "the session is closed" + (f" until {iso(after.begins)}" if after is not None else "")
    return NotAdmitted(told, told)


def _attempt(logon: Received, peer: Peer) -> Attempt:
    sender, target = (
        (logon.get(tag) or b"").decode("ascii", "backslashreplace") for tag in (TARGET, SENDER)
    )
    return Attempt(
        SessionId(sender, target), peer, logon.get(USERNAME) or b"", logon.get(PASSWORD) or b""
    )


def _fits(wanted: Certificate, shown: PeerCertificate | None) -> bool:
    if shown is None:
        return False
    if wanted.fingerprint is not None and wanted.fingerprint != shown.fingerprint:
        return False
    return wanted.subject is None or wanted.subject in (shown.subject, shown.common_name)


def _shown(session_id: SessionId) -> str:
    """The name of a session that somebody claims to be, fit for a line of a log."""
    return str(session_id).encode("unicode_escape").decode("ascii")[:SHOWN]
