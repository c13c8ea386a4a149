"""What all tests share: one PostgreSQL, a fresh schema for each, and a clean environment."""

import os
import shutil
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from hypothesis import settings as hypothesis_settings
from psycopg import sql
from psycopg.conninfo import make_conninfo

from infrastructure import hot_modules
from infrastructure.database import EmbeddedServer
from infrastructure.log.layouts import Layout
from migrations.runner import migrate
from tests.homes import new_home
from tests.stores import Store, store_of

hot_modules.choose_implementation()

hypothesis_settings.register_profile("nexus", deadline=None, print_blob=True)
hypothesis_settings.load_profile("nexus")

MARKET_DATA = Path(__file__).resolve().parent.parent.parent / "shared" / "data"

# Variables that choose how the tests run; all others of ours are taken away from them.
KEPT_VARIABLES = {hot_modules.IMPL_VARIABLE, "NEXUS_TIMESCALE_URL"}


@dataclass(frozen=True, slots=True)
class Schema:
    """A migrated schema of a test's own, and how to reach it."""

    dsn: str
    schema: str


SOAK_SECONDS = 7_200


def pytest_configure(config: pytest.Config) -> None:
    """Refuse to test a compiled module that is older than its source."""
    stale = hot_modules.stale_modules()
    if stale and os.environ.get(hot_modules.IMPL_VARIABLE) != "interpreted":
        pytest.exit(
            f"compiled before the last edit: {', '.join(stale)}; run `make build`, "
            f"or set {hot_modules.IMPL_VARIABLE}=interpreted",
            returncode=3,
        )
    for name in list(os.environ):
        if name.startswith("NEXUS_") and name not in KEPT_VARIABLES:
            del os.environ[name]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave soaks out unless `-m` speaks of them: one that chooses by another mark takes the place
    of the one in pyproject.toml.
    """
    give_soaks_time(items)
    if "soak" in config.option.markexpr:
        return
    soaks = [item for item in items if item.get_closest_marker("soak")]
    if soaks:
        config.hook.pytest_deselected(items=soaks)
        items[:] = [item for item in items if not item.get_closest_marker("soak")]


def give_soaks_time(items: Sequence[pytest.Item]) -> None:
    """Let what takes minutes take two hours, unless it says itself how long it may."""
    for item in items:
        if item.get_closest_marker("soak") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(SOAK_SECONDS))


def pytest_report_header() -> list[str]:
    """Say which implementation of each hot module is tested."""
    return [f"{name}: {how}" for name, how in hot_modules.implementations().items()]


@pytest.fixture(scope="session")
def server_home() -> Iterator[Path]:
    """A short directory that the server's user can reach, also when the tests run as root."""
    home = new_home()
    yield home
    shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres(server_home: Path) -> Iterator[EmbeddedServer]:
    """The embedded server of the whole run."""
    with EmbeddedServer(server_home / "data", server_home / "run") as server:
        yield server


@pytest.fixture
def schema(postgres: EmbeddedServer) -> Iterator[Schema]:
    """A fresh migrated schema with a name of its own, dropped after the test."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    migrate(postgres.dsn(), name)
    yield Schema(postgres.dsn(), name)
    with psycopg.connect(postgres.dsn(), autocommit=True) as conn:
        conn.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(name)))


@pytest.fixture(scope="session")
def timescale() -> Iterator[str]:
    """A database of its own on the TimescaleDB server that is named, gone after the run."""
    url = os.environ.get("NEXUS_TIMESCALE_URL")
    if not url:
        pytest.skip("NEXUS_TIMESCALE_URL names no TimescaleDB server")
    name = f"nexus_test_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    dsn = make_conninfo(url, dbname=name)
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute("CREATE EXTENSION IF NOT EXISTS timescaledb")
    yield dsn
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def dsn_of(request: pytest.FixtureRequest, layout: Layout) -> str:
    """The database for stores of a layout: the embedded one, or of a TimescaleDB server."""
    if layout in (Layout.HYPERTABLE, Layout.TIMESCALE):
        return str(request.getfixturevalue("timescale"))
    return str(request.getfixturevalue("postgres").dsn())


CHUNKED = [
    Layout.NATIVE,
    pytest.param(Layout.HYPERTABLE, marks=pytest.mark.timescale),
    pytest.param(Layout.TIMESCALE, marks=pytest.mark.timescale),
]
"""The layouts that a move may go to: PostgreSQL's own everywhere, the others where a server is."""


@pytest.fixture(params=CHUNKED)
def target_store(request: pytest.FixtureRequest) -> Iterator[Store]:
    """An empty store of each layout that a move may go to."""
    with store_of(dsn_of(request, request.param), request.param) as made:
        yield made


@pytest.fixture(scope="session")
def market_data_dir() -> Path:
    """The directory with samples of real order flow, which the repository does not carry."""
    if not MARKET_DATA.is_dir():
        pytest.skip(f"no real market data: {MARKET_DATA.name}/ is not beside the checkout")
    return MARKET_DATA
