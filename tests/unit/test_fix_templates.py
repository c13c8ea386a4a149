"""The file of the FIX sessions: inherited, whole or not at all, every complaint in its place."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from api.cli.command_line import exit_code_of
from api.cli.exit_codes import Exit
from api.fix.logon.rules import rules_of
from api.fix.ports import SessionId, Window
from api.fix.settings.schedule import Span
from api.fix.settings.template import Kind, OverRate, SessionTemplate
from api.fix.settings.templates import (
    FixSettingsError,
    Templates,
    joined,
    read_settings,
    settings_of,
)
from tests.fix_settings import ACCOUNT, CHEAP_HASH, session

FILE = Path("fix.toml")
ALPHA = SessionId("NEXUS", "ALPHA")


def complaints(document: dict[str, Any]) -> list[str]:
    """What is said of a document, without the name of the file."""
    with pytest.raises(FixSettingsError) as refusal:
        settings_of(document, FILE)
    lines = str(refusal.value).splitlines()
    assert all(line.startswith("fix.toml: ") for line in lines)
    return [line.removeprefix("fix.toml: ") for line in lines]


def test_session_has_what_the_defaults_say_unless_it_says_otherwise() -> None:
    """Tables are joined key by key; accounts are a session's own."""
    document = {
        "defaults": {
            "sender": "NEXUS",
            "password": CHEAP_HASH,
            "heartbeat": {"least": 2, "most": 90},
            "cancel_on_disconnect": True,
            "accounts": {"HOUSE": ACCOUNT},
        },
        "session": [
            {"target": "ALPHA", "heartbeat": {"most": 30}},
            {
                "target": "BETA",
                "cancel_on_disconnect": False,
                "accounts": {"MAIN": "0192b1f0-0000-7000-8000-000000000002"},
            },
        ],
    }

    sessions = settings_of(document, FILE).sessions

    alpha, beta = sessions[ALPHA], sessions[SessionId("NEXUS", "BETA")]
    assert (2, 30, True) == (
        alpha.heartbeat.least,
        alpha.heartbeat.most,
        alpha.cancel_on_disconnect,
    )
    assert (2, 90, False) == (beta.heartbeat.least, beta.heartbeat.most, beta.cancel_on_disconnect)
    assert ({"HOUSE": UUID(ACCOUNT)}, {"MAIN"}) == (alpha.accounts, set(beta.accounts))


def test_file_is_read_with_its_paths_beside_it(tmp_path: Path) -> None:
    """TOML with times, dotted keys and a TLS door whose files stand where the file does."""
    file = tmp_path / "fix.toml"
    file.write_text(
        f"""
        [gateway]
        logon_seconds = 3
        tls = {{ port = 9879, certificate = "venue.pem", key = "/keys/venue.key" }}
        [defaults]
        sender = "NEXUS"
        [[session]]
        target = "ALPHA"
        password = "{CHEAP_HASH}"
        accounts.MAIN = "{ACCOUNT}"
        schedule = {{ zone = "America/New_York", begins = 08:00:00, ends = "17:30" }}
        """
    )

    found = read_settings(file)

    assert found.gateway.tls is not None
    assert (tmp_path / "venue.pem", Path("/keys/venue.key"), 3) == (
        found.gateway.tls.certificate,
        found.gateway.tls.key,
        found.gateway.logon_seconds,
    )
    assert "America/New_York" == str(found.sessions[ALPHA].schedule.zone)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("said", "complaint"),
    [
        ({"fish": 1}, "fish: not known here"),
        ({"heartbeat": {"lest": 1}}, "heartbeat.lest: not known here"),
        ({"target": "BE TA"}, "target: a comp id is 1 to 64"),
        ({"target": "A->B"}, "target: a comp id is 1 to 64"),
        ({"password": "hunter2"}, "password: not an argon2id hash"),
        ({"password": "$argon2i$v=19$m=65536,t=3,p=4$c2FsdHNhbHQ$aGFzaA"}, "password: not an"),
        ({"password": CHEAP_HASH.replace("m=7168", "m=999999999")}, "password: memory_cost of the"),
        ({"password": CHEAP_HASH.replace("m=7168", "m=8")}, "password: memory_cost of the hash"),
        ({"password": None}, "it proves itself by nothing"),
        ({"username": "ann", "password": None, "certificate": {"subject": "x"}}, "a username goes"),
        ({"certificate": {}}, "certificate: a certificate is known by"),
        (
            {"certificate": {"fingerprint": "12"}},
            "certificate.fingerprint: a fingerprint is the SHA",
        ),
        ({"accounts": {}}, "accounts: Dictionary should have at least 1 item"),
        ({"accounts": {"MAIN": "me"}}, "accounts.MAIN: Input should be a valid UUID"),
        ({"accounts": {"A": ACCOUNT, "B": ACCOUNT}}, f"account {ACCOUNT} has two labels"),
        ({"addresses": ["10.0.0.1/8"]}, "addresses.0: no network such as 10.0.0.0/8"),
        ({"heartbeat": {"least": 61}}, "heartbeat: least (61) is above most (60)"),
        ({"heartbeat": {"most": 0}}, "heartbeat.most: Input should be greater than or equal to 1"),
        ({"latency_seconds": True}, "latency_seconds: Input should be a valid integer"),
        ({"cancel_on_disconnect": "yes"}, "cancel_on_disconnect: Input should be a valid boolean"),
        ({"rate": {"answer": "silence"}}, "rate.answer: Input should be 'business-reject' or"),
        ({"away": "maybe"}, "away: Input should be 'history' or 'status'"),
        ({"kind": "drop"}, "kind: Input should be 'trade' or 'drop-copy'"),
        ({"begins_at": 7}, "begins_at is for drop-copy sessions"),
        ({"kind": "drop-copy", "begins_at": "soon"}, "begins_at: neither a log position nor"),
        ({"kind": "drop-copy", "cancel_on_disconnect": True}, "a drop-copy session has no orders"),
        ({"list_tag": 44}, "list_tag: Input should be greater than or equal to 5000"),
        ({"schedule": {"begins": "8", "ends": "09:00"}}, "schedule.begins: '8' is no time of day"),
        (
            {"schedule": {"zone": "Mars/Olympus", "begins": "08:00", "ends": "09:00"}},
            "schedule.zone: no time zone is named 'Mars/Olympus'",
        ),
        (
            {"schedule": {"zone": "../../etc/passwd", "begins": "08:00", "ends": "09:00"}},
            "schedule.zone: no time zone is named",
        ),
        (
            {"schedule": {"begins": "08:00", "ends": "09:00", "first": "mon"}},
            "schedule: first and last day of a weekly span go together",
        ),
        (
            {"schedule": {"begins": "08:00", "ends": "09:00", "days": []}},
            "schedule: days names no day",
        ),
        (
            {"schedule": {"begins": "08:00+02:00", "ends": "09:00"}},
            "schedule.begins: the time zone stands in `zone`",
        ),
    ],
)
def test_wrong_value_is_said_by_session_and_field(said: dict[str, Any], complaint: str) -> None:
    """Whoever reads the message knows what to change, and where."""
    (line,) = complaints({"session": [session(**said)]})

    target = said.get("target", "ALPHA")
    assert line.startswith(f"session NEXUS->{target}: {complaint}")


def test_all_that_is_wrong_is_said_at_once() -> None:
    """Nobody has to start three times to find three mistakes."""
    document = {
        "defaults": {"target": "X", "fish": 1},
        "gateway": {"logon_seconds": 0, "tls": {"port": 1}},
        "sessions": [],
        "session": [session(), session(), session(target=None), session(target="B", kind="x")],
    }

    assert [
        "sessions: not known here",
        "defaults: target: not known here",
        "defaults: fish: not known here",
        "session NEXUS->ALPHA: target: this session stands there twice",
        "session 3: target: Field required",
        "session NEXUS->B: kind: Input should be 'trade' or 'drop-copy'",
        "gateway: logon_seconds: Input should be greater than or equal to 1",
        "gateway: tls.certificate: Field required",
        "gateway: tls.key: Field required",
    ] == complaints(document)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (b"", "session: no session is described"),
        (b"session = 1", "session: must be tables, [[session]]"),
        (b"defaults = 1", "defaults: must be a table, [defaults]"),
        (b"[[session]", "not TOML: "),
        (b"\xff", "not TOML: "),
    ],
)
def test_file_that_is_none_is_said_by_its_name(tmp_path: Path, text: bytes, complaint: str) -> None:
    """It ends the command as any wrong setting does."""
    file = tmp_path / "fix.toml"
    file.write_bytes(text)

    with pytest.raises(FixSettingsError) as refusal:
        read_settings(file)

    assert str(refusal.value).startswith(f"{file}: {complaint}")
    assert Exit.USAGE == exit_code_of(refusal.value)


def test_file_that_is_not_there_is_said_by_its_name(tmp_path: Path) -> None:
    """As the setting names it."""
    with pytest.raises(FixSettingsError, match=r"none\.toml: cannot be read: No such file"):
        read_settings(tmp_path / "none.toml")


def test_hash_of_a_password_is_shown_in_no_message() -> None:
    """Neither where it is wrong nor where a template is printed."""
    wrong = "$argon2id$v=19$m=8,t=1,p=1$c2VjcmV0c2FsdA$c2VjcmV0aGFzaA"

    assert "c2VjcmV0" not in "".join(complaints({"session": [session(password=wrong)]}))
    assert CHEAP_HASH not in repr(SessionTemplate.model_validate(session()))


@pytest.mark.parametrize(
    ("address", "may"),
    [
        ("10.1.2.3", True),
        ("::ffff:10.1.2.3", True),
        ("fe80::1%eth0", True),
        ("11.0.0.1", False),
        ("::1", False),
        ("", False),
        ("a client", False),
    ],
)
def test_client_comes_from_its_networks_alone(address: str, may: bool) -> None:
    """An IPv4 client of a door that listens for both is still an IPv4 client."""
    template = SessionTemplate.model_validate(session(addresses=["10.0.0.0/8", "fe80::/10"]))

    assert may is template.may_come_from(address)
    assert SessionTemplate.model_validate(session()).may_come_from(address)


def test_templates_go_on_with_what_is_read_again() -> None:
    """Whoever holds them sees the sessions of the newer file."""
    templates = Templates(settings_of({"session": [session()]}, FILE).sessions)
    newer = settings_of({"session": [session(target="BETA")]}, FILE).sessions

    templates.take(newer)

    assert [SessionId("NEXUS", "BETA")] == list(templates)
    assert ALPHA not in templates and 1 == len(templates)


def test_defaults_are_not_changed_by_who_inherits_them() -> None:
    """Two sessions of one file do not see each other."""
    defaults = {"rate": {"messages": 5}}

    assert {"rate": {"messages": 5, "window_ms": 1}} == joined(defaults, {"rate": {"window_ms": 1}})
    assert {"rate": {"messages": 5}} == defaults


@pytest.mark.parametrize(("resets", "begins"), [(True, 100), (False, 0)])
def test_rules_of_a_session_are_what_its_template_says(resets: bool, begins: int) -> None:
    """In the session layer's words; a schedule that does not reset begins no numbers anew."""
    template = SessionTemplate.model_validate(
        session(
            heartbeat={"least": 7, "most": 9},
            resets={"on_logon": True, "by_client": False},
            rate={"messages": 5, "window_ms": 500, "answer": "execution-report"},
            schedule={"begins": "08:00", "ends": "09:00", "resets": resets},
            high_water=5_000,
            slow_seconds=3,
            latency_seconds=8,
            kind="drop-copy",
        )
    )

    rules = rules_of(template, Span(100, 200))

    assert (7, 9, 8) == (rules.heartbeat_least, rules.heartbeat_most, rules.latency_seconds)
    assert (True, False, False, False) == (
        rules.reset_on_logon,
        rules.reset_on_logout,
        rules.reset_on_disconnect,
        rules.reset_by_client,
    )
    assert (5, 0.5, True) == (*(rules.rate or ()), rules.rate_by_report)
    assert (5_000, 3) == (rules.high_water_bytes, rules.slow_seconds)
    assert Window(begins, 200) == rules.window
    assert (Kind.DROP_COPY, OverRate.EXECUTION_REPORT) == (template.kind, template.rate.answer)
