"""What tests of two stores share: events to store, and stores that name each other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from domain.events import DomainEvent
from infrastructure.database import EmbeddedServer
from infrastructure.log.layouts import Layout
from tests.model.event_streams import EventStream
from tests.stores import Store, pair_of


@pytest.fixture(scope="module")
def events() -> list[DomainEvent]:
    """A market of some commands, busts and corrections among them."""
    return EventStream().some_market(accounts=3, instruments=2).some_commands(400).events


@pytest.fixture(params=["plain native", "native plain", "native native", "plain plain"])
def pair(request: Any, postgres: EmbeddedServer) -> Iterator[tuple[Store, Store]]:
    """A truth and its follower, empty."""
    truth, follower = (Layout(name) for name in request.param.split())
    with pair_of(postgres.dsn(), truth, follower) as made:
        yield made


@pytest.fixture
def move(postgres: EmbeddedServer) -> Iterator[tuple[Store, Store]]:
    """A plain truth and a follower in partitions, empty."""
    with pair_of(postgres.dsn(), Layout.PLAIN, Layout.NATIVE) as made:
        yield made
