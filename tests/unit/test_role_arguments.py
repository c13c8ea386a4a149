"""What is said in arguments, every user of the machine can read: no secret is taken there."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from api.cli.command_line import app as nexus
from api.cli.exit_codes import Exit


@pytest.mark.parametrize("command", ["plan", "prepare"])
@pytest.mark.parametrize(
    "dsn", ["postgresql://who:open-secret@there/x", "host=there sslpassword=open-secret"]
)
def test_role_address_with_a_password_is_refused_among_arguments(command: str, dsn: str) -> None:
    """It is not repeated, and it is said where it belongs; nobody was asked for anything."""
    done = CliRunner().invoke(nexus, ["timescale", command, "--owner-dsn", dsn])
    assert Exit.USAGE == done.exit_code, done.output
    assert "open-secret" not in done.output and ".pgpass" in done.output
