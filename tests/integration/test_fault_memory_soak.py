"""An hour of orders at a steady rate: every process holds at its end what it held early on."""

from __future__ import annotations

import asyncio
import tempfile
from collections import defaultdict
from pathlib import Path
from statistics import median

import pytest
from pydantic import SecretStr

from api.processes.supervisor import Supervisor
from infrastructure.command_bus import UnixSocketBus
from infrastructure.settings import Settings
from tests.order_driver import ADMIN_SECRET, free_port
from tests.steady_load import SteadyLoad, held_by

SECONDS = 3_600
RATE = 200
LOOK_SECONDS = 10
WARM_SECONDS = 600
"""Until then what is remembered up to a number fills."""
GROWS_BYTES = 8_000_000
"""By so much a process may hold more in the last ten minutes than in the ten after it was warm."""


@pytest.mark.soak
def test_every_process_is_flat_over_an_hour_of_orders() -> None:
    """At 200 orders a second that are all filled or canceled, replaced and dated ones too."""
    home = Path(tempfile.mkdtemp(prefix="nexus-soak-", dir="/tmp"))
    home.chmod(0o755)
    settings = Settings(
        data_dir=home / "data",
        runtime_dir=home / "run",
        port=free_port(),
        admin_key=SecretStr(ADMIN_SECRET),
    )
    held: defaultdict[str, list[int]] = defaultdict(list)
    with Supervisor(settings, say=lambda _: None) as venue:

        def look() -> None:
            for role, size in held_by(venue).items():
                held[role].append(size)

        async def trade() -> None:
            bus = UnixSocketBus(settings.bus_socket)
            load = SteadyLoad(bus, RATE)
            await load.run(SECONDS, LOOK_SECONDS, look)
            assert load.orders >= 0.95 * SECONDS * RATE
            await bus.close()

        asyncio.run(trade())
    window = WARM_SECONDS // LOOK_SECONDS
    grown = {
        role: median(sizes[-window:]) - median(sizes[window : 2 * window])
        for role, sizes in held.items()
    }
    assert {"writer", "standby", "projector", "market-data", "gateway"} <= grown.keys()
    assert {} == {role: by for role, by in grown.items() if by > GROWS_BYTES}
