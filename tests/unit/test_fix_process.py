"""The FIX gateway process before it serves: its file, and where in the log a session begins."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from api.fix.settings.templates import FixSettingsError
from api.processes.fix import beginning_of, run_fix
from api.processes.supervisor import Supervisor
from domain.identifiers import datetime_of, iso
from infrastructure.settings import Settings, SettingsError
from tests.model.fix_venue import fix_venue


def test_venue_with_a_wrong_file_of_sessions_starts_nothing(tmp_path: Path) -> None:
    """Not even its store: what is wrong is said before anybody is kept waiting."""
    wrong = tmp_path / "fix.toml"
    wrong.write_text("[[session]]\nsender = 1\n")
    settings = Settings(data_dir=tmp_path / "data", runtime_dir=tmp_path / "run", fix_config=wrong)
    venue = Supervisor(settings, say=lambda _: None)

    with pytest.raises(FixSettingsError, match=r"fix\.toml: session 1: sender: "):
        venue.start()

    assert {0} == {child.starts for child in venue.children}
    assert "fix" not in {child.role for child in venue.children}
    assert not (tmp_path / "data").exists()


def test_gateway_without_a_file_of_sessions_says_which_variable_names_it() -> None:
    """`nexus serve --only fix` of a venue that has none."""
    with pytest.raises(SettingsError, match=r"^NEXUS_FIX_CONFIG: "):
        run_fix(Settings())


def test_session_begins_at_the_end_of_the_log_or_where_its_template_says() -> None:
    """A position, at most the log's last; or a time, in UTC where it says no other zone."""

    async def scene() -> None:
        async with fix_venue() as venue:
            log = venue.recorded()
            last = log[-1]
            instant = last.event.at
            before = max(one.position for one in log if one.event.at < instant)

            assert last.position == await beginning_of(venue.log, None)
            assert 1 == await beginning_of(venue.log, "1")
            assert last.position == await beginning_of(venue.log, "9" * 18)
            assert before == await beginning_of(venue.log, iso(instant))
            local = datetime_of(instant).replace(tzinfo=None).isoformat()
            assert before == await beginning_of(venue.log, local)
            assert last.position == await beginning_of(venue.log, "9999-01-01")
            assert 0 == await beginning_of(venue.log, "1970-01-01T00:00:00+00:00")

    asyncio.run(scene())
