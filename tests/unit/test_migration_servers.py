"""What a server must have for a store of a layout, and what is said where it has it not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from infrastructure.log.layouts import Layout
from infrastructure.log.stores import StoreAddress
from migrations.move.servers import ServerFacts, holds_password

FULL = ServerFacts(
    postgres=18,
    database="1 since 0",
    may_create=True,
    available="2.28.3",
    installed="2.28.3",
    loaded=True,
    edition="timescale",
    max_wal_mb=1024,
    user="venue",
)


@pytest.mark.parametrize("layout", [Layout.NATIVE, Layout.HYPERTABLE, Layout.TIMESCALE])
def test_server_that_has_all_of_it_lacks_nothing(layout: Layout) -> None:
    """The full edition takes every layout, and its own is the one that is chosen."""
    assert [] == FULL.lacks(layout)
    assert Layout.TIMESCALE is FULL.best_layout()


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        (replace(FULL, available=None, installed=None), ("no TimescaleDB", "PostgreSQL 18",
            "https://", "--layout native")),
        (replace(FULL, installed="2.18.0"), ("2.18.0", "2.18.1", "ALTER EXTENSION")),
        (replace(FULL, installed="2.9.3-dev"), ("2.9.3-dev", "2.18.1")),
        (replace(FULL, installed=None, loaded=False), ("shared_preload_libraries", "restart")),
        (replace(FULL, edition="apache"), ("Apache", "nothing is compressed", "hypertable`")),
        (replace(FULL, postgres=14), ("PostgreSQL 14", "15")),
        (replace(FULL, may_create=False), ("venue", "GRANT CREATE")),
    ],
    ids=["absent", "old", "older", "not loaded", "apache", "old server", "no rights"],
)  # fmt: skip
def test_what_is_missing_is_said_with_what_would_help(
    facts: ServerFacts, said: tuple[str, ...]
) -> None:
    """One reason, which names what there is and what is wanted."""
    (reason,) = facts.lacks(Layout.TIMESCALE)
    assert all(word in reason for word in said), reason


def test_least_version_is_taken() -> None:
    """2.18.1 is the first that is right, and what follows a dash is no number of it."""
    assert [] == replace(FULL, installed="2.18.1-oss").lacks(Layout.TIMESCALE)
    assert [] == replace(FULL, installed="2.100.0").lacks(Layout.TIMESCALE)


def test_without_timescale_native_partitions_lack_nothing() -> None:
    """A managed server has them, whatever else it has not."""
    facts = replace(FULL, available=None, installed=None, loaded=False, edition=None)
    assert [] == facts.lacks(Layout.NATIVE)


def test_apache_edition_is_taken_without_compression() -> None:
    """Its chunks are what can be had."""
    facts = replace(FULL, edition="apache")
    assert Layout.HYPERTABLE is facts.best_layout()
    assert [] == facts.lacks(Layout.HYPERTABLE)


@pytest.mark.parametrize(
    ("dsn", "secret"),
    [
        ("postgresql://venue@db/trade", False),
        ("postgresql://venue:secret@db/trade", True),
        ("host=db user=venue password=secret", True),
        ("service=trade", False),
    ],
)
def test_password_in_an_address_is_seen(dsn: str, secret: bool) -> None:
    """Whichever way it is written."""
    assert secret is holds_password(StoreAddress(dsn, "log"))
