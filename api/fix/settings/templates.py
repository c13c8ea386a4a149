"""The file of the FIX sessions: read whole or not at all, and every complaint names its place.

[defaults]            what a session does not say itself; tables are joined key by key
[gateway]             what holds for all of them (`GatewaySettings`)
[[session]]           one of each (`SessionTemplate`)
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from api.fix.ports import SessionId
from api.fix.settings.gateway import GatewaySettings
from api.fix.settings.template import SessionTemplate
from infrastructure.settings import PREFIX, Settings, SettingsError

TABLES = ("defaults", "gateway", "session")
INHERITED = SessionTemplate.model_fields.keys() - {"target"}
"""What a default can say."""


class FixSettingsError(SettingsError):
    """The file of the FIX sessions cannot be used as it stands; each line names a place in it."""


class FixSettings(NamedTuple):
    """What the file says."""

    gateway: GatewaySettings
    sessions: dict[SessionId, SessionTemplate]


class Templates(Mapping[SessionId, SessionTemplate]):
    """The sessions as the file has them now. Read again, it holds from each next logon on."""

    def __init__(self, sessions: Mapping[SessionId, SessionTemplate]) -> None:
        self._sessions = dict(sessions)
        self._ever = dict(sessions)

    def __getitem__(self, session_id: SessionId) -> SessionTemplate:
        return self._sessions[session_id]

    def __iter__(self) -> Iterator[SessionId]:
        return iter(self._sessions)

    def __len__(self) -> int:
        return len(self._sessions)

    def take(self, sessions: Mapping[SessionId, SessionTemplate]) -> None:
        """Go on with other sessions."""
        self._sessions = dict(sessions)
        self._ever |= sessions

    def last_known(self, session_id: SessionId) -> SessionTemplate:
        """A session as it is now, or was before it was taken out: it may still be connected."""
        return self._ever[session_id]


def config_of(settings: Settings) -> Path:
    """The file of the sessions; raises SettingsError where none is named."""
    if settings.fix_config is None:
        raise SettingsError(f"{PREFIX}FIX_CONFIG: names no file of FIX sessions")
    return settings.fix_config


def read_settings(path: Path) -> FixSettings:
    """Read the file; raises FixSettingsError with all that is wrong in it."""
    try:
        document = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise FixSettingsError(f"{path}: cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise FixSettingsError(f"{path}: not TOML: {error}") from None
    return settings_of(document, path)


def settings_of(document: Mapping[str, Any], path: Path) -> FixSettings:
    """The settings that a document says; raises FixSettingsError."""
    wrong = [f"{path}: {name}: not known here" for name in document if name not in TABLES]
    defaults = document.get("defaults", {})
    if not isinstance(defaults, dict):
        wrong.append(f"{path}: defaults: must be a table, [defaults]")
        defaults = {}
    # Where every session says it itself, a default that nobody knows would be a silent mistake.
    unknown = [name for name in defaults if name not in INHERITED]
    wrong += (f"{path}: defaults: {name}: not known here" for name in unknown)
    defaults = {name: said for name, said in defaults.items() if name in INHERITED}
    rows = document.get("session", [])
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        wrong.append(f"{path}: session: must be tables, [[session]]")
        rows = []
    sessions: dict[SessionId, SessionTemplate] = {}
    for number, row in enumerate(rows, 1):
        said = joined(defaults, row)
        place = _place(number, said)
        try:
            template = SessionTemplate.model_validate(said)
        except ValidationError as error:
            wrong += (f"{path}: {place}: {complaint}" for complaint in _complaints(error))
            continue
        if template.session_id in sessions:
            wrong.append(f"{path}: {place}: target: this session stands there twice")
        sessions[template.session_id] = template
    gateway = GatewaySettings()
    try:
        gateway = GatewaySettings.model_validate(document.get("gateway", {}))
    except ValidationError as error:
        wrong += (f"{path}: gateway: {complaint}" for complaint in _complaints(error))
    if not rows and not wrong:
        wrong.append(f"{path}: session: no session is described; each is a [[session]]")
    if wrong:
        raise FixSettingsError("\n".join(wrong))
    return FixSettings(_beside(gateway, path), sessions)


def joined(defaults: Mapping[str, Any], said: Mapping[str, Any]) -> dict[str, Any]:
    """What is said, over what is said by default; tables but for the accounts key by key."""
    found = dict(defaults)
    for name, value in said.items():
        before = found.get(name)
        if isinstance(before, dict) and isinstance(value, dict) and name != "accounts":
            found[name] = joined(before, value)
        else:
            found[name] = value
    return found


def _beside(gateway: GatewaySettings, path: Path) -> GatewaySettings:
    """The settings with paths that stand beside the file made whole."""
    tls = gateway.tls
    if tls is None:
        return gateway
    whole = {
        name: path.parent / getattr(tls, name)
        for name in ("certificate", "key", "clients")
        if getattr(tls, name) is not None
    }
    return gateway.model_copy(update={"tls": tls.model_copy(update=whole)})


def _place(number: int, said: Mapping[str, Any]) -> str:
    sender, target = said.get("sender"), said.get("target")
    if isinstance(sender, str) and isinstance(target, str):
        return f"session {SessionId(sender, target)}"
    return f"session {number}"


def _complaints(error: ValidationError) -> Iterator[str]:
    """Each thing that is wrong, by its place; what was written there is not repeated."""
    for wrong in error.errors(include_input=False, include_url=False):
        place = ".".join(str(part) for part in wrong["loc"] if part != "[key]")
        said = "not known here" if wrong["type"] == "extra_forbidden" else wrong["msg"]
        said = said.removeprefix("Value error, ")
        yield f"{place}: {said}" if place else said
