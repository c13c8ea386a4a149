"""Settings that nobody knows are named, and no operator's secret is one to be guessed."""

import re
from pathlib import Path

import pytest

from infrastructure.settings import Settings, SettingsError, unknown_variables

COMPOSED = Path(__file__).resolve().parents[2] / "docker-compose.yml"


@pytest.mark.parametrize(
    ("variable", "near"),
    [
        ("NEXUS_ADMINKEY", "NEXUS_ADMIN_KEY"),
        ("NEXUS_DATABSE_URL", "NEXUS_DATABASE_URL"),
        ("NEXUS_SCHEMAS", "NEXUS_SCHEMA"),
        ("NEXUS_READ_WAIT", "NEXUS_READ_WAIT_MS"),
    ],
)
def test_role_setting_that_is_not_known_is_named_with_the_nearest(
    monkeypatch: pytest.MonkeyPatch, variable: str, near: str
) -> None:
    """What it was to set would silently be otherwise: nothing starts."""
    monkeypatch.setenv(variable, "x")
    with pytest.raises(SettingsError) as refused:
        Settings.load()
    assert f"{variable}: there is no such setting, did you mean {near}?" == str(refused.value)


def test_role_every_setting_that_is_not_known_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """All of them at once, without their values, whatever their names hold."""
    monkeypatch.setenv("NEXUS_\n\u202e", "secret")
    monkeypatch.setenv("NEXUS_ZZZZZZ", "secret")
    with pytest.raises(SettingsError) as refused:
        Settings.load()
    said = str(refused.value)
    assert 2 == len(said.splitlines()) and "secret" not in said
    assert "NEXUS_\\n\\u202e: there is no such setting" in said


@pytest.mark.parametrize("name", ["NEXUS_IMPL", "NEXUS_TIMESCALE_URL", "NEXUS_PARTITION_SCHEMA"])
def test_role_variables_that_are_read_elsewhere_stop_nothing(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Which hot modules run, a server for tests, the second name of a setting."""
    monkeypatch.setenv(name, "interpreted")
    Settings.load()


@pytest.mark.parametrize("secret", ["short", "x" * 31])
def test_role_operators_secret_that_is_short_is_refused(
    monkeypatch: pytest.MonkeyPatch, secret: str
) -> None:
    """It can be guessed; and it is not repeated."""
    monkeypatch.setenv("NEXUS_ADMIN_KEY", secret)
    with pytest.raises(SettingsError, match=r"^NEXUS_ADMIN_KEY: ") as refused:
        Settings.load()
    assert "32 characters" in str(refused.value) and secret not in str(refused.value)


def test_role_operators_secret_that_is_empty_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """One is drawn then, as without the variable."""
    monkeypatch.setenv("NEXUS_ADMIN_KEY", "")
    assert None is Settings.load().admin_key
    monkeypatch.setenv("NEXUS_ADMIN_KEY", "x" * 32)
    assert Settings.load().admin_key is not None


def test_role_production_shape_sets_nothing_that_is_no_setting() -> None:
    """Its venue would not start."""
    names = re.findall(r"^\s+(NEXUS_[A-Z_]+):", COMPOSED.read_text(), re.MULTILINE)
    assert "NEXUS_DATABASE_URL" in names
    assert [] == unknown_variables(names, Settings)
