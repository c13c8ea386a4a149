"""Settings: read from NEXUS_ variables, and every complaint names the variable."""

import re
from pathlib import Path

import pytest
from pydantic import SecretStr

from api.processes.supervisor import Supervisor
from infrastructure.clock import VenueClock
from infrastructure.settings import Settings, SettingsError
from infrastructure.unix_paths import SOCKET_PATH_MAX, SocketPathTooLong


def test_every_value_comes_from_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment is all there is to set."""
    monkeypatch.setenv("NEXUS_PORT", "9000")
    monkeypatch.setenv("NEXUS_SCHEMA", "partition_7")
    monkeypatch.setenv("NEXUS_DATABASE_URL", "postgresql://db/nexus")

    settings = Settings.load()

    assert (9000, "partition_7") == (settings.port, settings.partition_schema)
    assert settings.database_url == "postgresql://db/nexus"


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("NEXUS_PORT", "http"),
        ("NEXUS_PORT", "70000"),
        ("NEXUS_SCHEMA", "Partition 0"),
        ("NEXUS_BATCH_ORDERS", "401"),
        ("NEXUS_SNAPSHOT_EVERY_OF_KIND", '{"orders": 5}'),
        ("NEXUS_QUEUE_LIMIT", "0"),
        ("NEXUS_PARTITION", "-1"),
        ("NEXUS_DATABASE_URL", "not a url"),
    ],
)
def test_wrong_value_is_said_by_its_variable(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    """Whoever reads the message knows what to change."""
    monkeypatch.setenv(variable, value)

    with pytest.raises(SettingsError, match=f"^{variable}: "):
        Settings.load()


@pytest.mark.parametrize("text", ["{", "(100, 10)", "three"])
def test_value_that_is_no_json_where_it_should_be_is_said_by_its_variable(
    monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    """A process that is started with one ends for good, with a line and not with a traceback."""
    monkeypatch.setenv("NEXUS_SNAPSHOT_EVERY_OF_KIND", text)

    with pytest.raises(SettingsError, match=r"^NEXUS_SNAPSHOT_EVERY_OF_KIND: "):
        Settings.load()


def test_all_wrong_values_are_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody has to start twice to find two mistakes."""
    monkeypatch.setenv("NEXUS_PORT", "x")
    monkeypatch.setenv("NEXUS_PARTITION", "x")

    with pytest.raises(SettingsError) as refusal:
        Settings.load()

    assert {"NEXUS_PORT", "NEXUS_PARTITION"} == {
        line.partition(":")[0] for line in str(refusal.value).splitlines()
    }


def test_password_in_a_wrong_url_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    """A message may end in a log."""
    monkeypatch.setenv("NEXUS_DATABASE_URL", "postgresql://u:hunter2@db/x?nonsense=1")

    with pytest.raises(SettingsError) as refusal:
        Settings.load()

    assert "hunter2" not in str(refusal.value)


@pytest.mark.parametrize("said", ["sessions.toml", "./x/../sessions.toml"])
def test_file_of_fix_sessions_is_found_from_anywhere(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, said: str
) -> None:
    """A process that is started elsewhere reads the same file; an empty variable names none."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NEXUS_FIX_CONFIG", said)
    assert tmp_path / "sessions.toml" == Settings.load().fix_config

    monkeypatch.setenv("NEXUS_FIX_CONFIG", "")
    assert None is Settings.load().fix_config


def test_two_data_directories_have_sockets_of_their_own(tmp_path: Path) -> None:
    """Servers and writers of two directories never meet."""
    one = Settings(data_dir=tmp_path / "one", runtime_dir=Path("/tmp/nx"))
    two = Settings(data_dir=tmp_path / "two", runtime_dir=Path("/tmp/nx"))

    assert one.bus_socket != two.bus_socket
    assert one.socket_dir != two.socket_dir


def test_bus_socket_longer_than_the_kernel_takes_is_refused() -> None:
    """The limit is known before anything is bound."""
    settings = Settings(runtime_dir=Path("/tmp") / ("r" * SOCKET_PATH_MAX))

    with pytest.raises(SocketPathTooLong, match="NEXUS_RUNTIME_DIR"):
        _ = settings.bus_socket


def test_default_paths_leave_room_for_the_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without any setting, also under a long runtime directory, the socket can be bound."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/" + "1" * 90)

    assert len(str(Settings().bus_socket)) <= SOCKET_PATH_MAX


@pytest.mark.parametrize(
    ("variable", "value", "wrong"),
    [
        ("NEXUS_MARKET_DATA_TIERS", '{"1": ["A"], "2": ["A"]}', "A is of two tiers"),
        ("NEXUS_MARKET_DATA_TIERS", '{"4": ["A"]}', "less than or equal to 3"),
        ("NEXUS_MARKET_DATA_HOT_RATES", "[10, 100]", "first tier must be above"),
        ("NEXUS_MARKS_MAX_AGE_MS", "0", "greater than or equal to 1"),
        ("NEXUS_MARKS_WHEN_OLD", "later", "'wait' or 'refuse'"),
    ],
)
def test_settings_of_market_data_that_contradict_each_other_are_refused(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, wrong: str
) -> None:
    """By the variable's name and what is wrong with it."""
    monkeypatch.setenv(variable, value)

    with pytest.raises(SettingsError, match=f"^{variable}: .*{wrong}"):
        Settings.load()


def test_every_setting_is_used() -> None:
    """What can be set has an effect: something outside the settings reads it."""
    root = Path(__file__).parents[2]
    sources = "".join(
        path.read_text()
        for folder in ("api", "infrastructure", "projections", "migrations")
        for path in (root / folder).rglob("*.py")
    )

    unused = [
        name
        for name in Settings.model_fields
        if not re.search(rf"(settings|self)\.{name}\b", sources)
    ]

    assert [] == unused


def test_children_read_the_settings_that_the_supervisor_has(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Whatever kind of value a setting has, it comes through the environment as it is."""
    settings = Settings(
        data_dir=tmp_path,
        admin_key=SecretStr("s" * 32),
        snapshot_every_of_kind={"order": 7},
        market_data_tiers={1: ["AAPL"], 2: []},
    )
    supervisor = Supervisor(settings)
    for name, value in supervisor.environment().items():
        monkeypatch.setenv(name, value)

    read = Settings.load()
    assert settings == read.model_copy(update={"clock_origin": None})
    assert supervisor.clock.origin == VenueClock.of(read, bool).origin
