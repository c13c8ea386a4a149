"""Takes whatever it is sent and drops it: what a flood costs where nobody looks at it."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import uvloop

from bench.fix_venue import free_port, until_listening
from bench.venue import plain_environment


@contextmanager
def sink_process() -> Iterator[int]:
    """A sink as a process; yields its port."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.fix_sink", str(port)], env=plain_environment()
    )
    try:
        until_listening(port)
        yield port
    finally:
        process.terminate()
        process.wait(30)


async def _serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(asyncio.Protocol, "127.0.0.1", port)
    await server.serve_forever()


def main() -> None:
    """Serve until told to stop."""
    uvloop.run(_serve(int(sys.argv[1])))


if __name__ == "__main__":
    main()
