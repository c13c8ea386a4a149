"""The page on FIX sessions says every key of their file, and its example is one that is taken."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from pydantic import BaseModel

from api.fix.settings.gateway import GatewaySettings, Tls
from api.fix.settings.schedule import Schedule
from api.fix.settings.template import (
    Certificate,
    Heartbeat,
    Kind,
    Rate,
    Resets,
    SessionTemplate,
    Validation,
)
from api.fix.settings.templates import settings_of
from infrastructure.settings import Settings

PAGE = (Path(__file__).parents[2] / "docs" / "fix-sessions.md").read_text()
PARTS: tuple[type[BaseModel], ...] = (
    *(SessionTemplate, Schedule, Certificate, Heartbeat, Resets, Validation, Rate),
    *(GatewaySettings, Tls),
)


def test_every_key_of_the_file_is_told() -> None:
    """Whoever adds one adds its line."""
    told = set(re.findall(r"`(\w+)", PAGE))

    assert [] == [
        f"{part.__name__}.{name}"
        for part in PARTS
        for name in part.model_fields
        if name not in told
    ]


def test_example_is_one_that_the_gateway_takes() -> None:
    """As it stands there."""
    block = re.search(r"\n\n((?:    .*\n|\n)+)", PAGE)
    assert block is not None
    text = "\n".join(line[4:] for line in block.group(1).splitlines())

    found = settings_of(tomllib.loads(text), Path("fix.toml"))

    assert [Kind.TRADE, Kind.DROP_COPY] == [one.kind for one in found.sessions.values()]
    assert found.gateway.tls is not None


def test_defaults_are_those_that_are_told() -> None:
    """The figures of the page."""
    defaults = SessionTemplate.model_fields
    gateway = GatewaySettings()

    for line in (
        f"| `high_water`, `slow_seconds` | {defaults['high_water'].default},"
        f" {defaults['slow_seconds'].default} |",
        f"| `latency_seconds` | {defaults['latency_seconds'].default} |",
        f"| `heartbeat` | `least = {Heartbeat().least}`, `most = {Heartbeat().most}` |",
        f"| `rate` | `messages = {Rate().messages}`, `window_ms = {Rate().window_ms}` |",
        f"| `connections`, `strangers` | {gateway.connections}, {gateway.strangers} |",
        f"| `logon_seconds` | {gateway.logon_seconds} |",
        f"| `failed_logons`, `failed_window_seconds` | {gateway.failed_logons},"
        f" {gateway.failed_window_seconds} |",
        f"| `passwords_at_once`, `passwords_waiting` | {gateway.passwords_at_once},"
        f" {gateway.passwords_waiting} |",
        f"`NEXUS_FIX_PORT` ({Settings.model_fields['fix_port'].default})",
    ):
        assert line in PAGE, line
