"""One venue for the tests of each file."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from infrastructure.embedded_server import EmbeddedServer
from tests.venue import Venue, served


@pytest.fixture(scope="module")
def venue(postgres: EmbeddedServer) -> Iterator[Venue]:
    """One venue for all tests of a file."""
    with served(postgres.dsn()) as venue:
        yield venue
