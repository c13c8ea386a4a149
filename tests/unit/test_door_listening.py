"""A busy loop takes several connections in a turn."""

import asyncio
import socket

import pytest
import uvloop

from api.door.listening import ACCEPTED_IN_A_TURN, BACKLOG, listened_at_once


@pytest.mark.parametrize("crowd", [ACCEPTED_IN_A_TURN, 5 * ACCEPTED_IN_A_TURN])
def test_connections_that_came_in_one_turn_are_taken_together(crowd: int) -> None:
    """Of one listening socket a loop takes one in a turn, of this door eight."""

    async def turns_until_all_are_in(again: list[socket.socket]) -> int:
        loop, came = asyncio.get_running_loop(), 0

        class Came(asyncio.Protocol):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                nonlocal came
                came += 1

        servers = [
            await loop.create_server(Came, sock=one, backlog=BACKLOG) for one in [listening, *again]
        ]
        clients = [socket.create_connection(listening.getsockname()) for _ in range(crowd)]
        turns = 0
        while came < crowd:
            await asyncio.sleep(0)
            turns += 1
        for client in clients:
            client.close()
        for server in servers:
            server.close()
        return turns

    taken = []
    for times in (1, ACCEPTED_IN_A_TURN):
        with socket.create_server(("127.0.0.1", 0)) as listening:
            again = listened_at_once(listening) if times > 1 else []
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                taken.append(runner.run(turns_until_all_are_in(again)))
    assert taken[0] >= crowd > 2 * taken[1]
