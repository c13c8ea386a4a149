"""Cancel on disconnect: what works of a session that is gone, where its template says so."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

from api.fix.application.behind import Behind, Client
from api.patience import AWAY
from api.refusals import ProjectionBehind
from application.orders import CancelOrder
from domain.errors import VenueUnavailable

DOOR = "fix"
"""Through which the gateway itself cancels, so the log says."""
AT_ONCE = 100
FIRST_PAUSE, LAST_PAUSE = 0.1, 2.0

log = logging.getLogger("nexus.fix")


async def cancel_what_works(
    behind: Behind,
    client: Client,
    under_way: Sequence[asyncio.Future[Any]],
    is_back: Callable[[], bool],
) -> None:
    """Cancel the orders that came through a session, once what it had sent is decided.

    It goes on until none is left to end, or the client is back and can do so itself.
    """
    await asyncio.gather(*under_way, return_exceptions=True)
    pause = FIRST_PAUSE
    while not is_back():
        try:
            if not await _cancel_once(behind, client, is_back):
                return
            pause = FIRST_PAUSE
        except (VenueUnavailable, ProjectionBehind, *AWAY) as error:
            log.warning("%s: orders are still to be canceled: %s", client.door, error)
            await asyncio.sleep(pause)
            pause = min(2 * pause, LAST_PAUSE)


async def _cancel_once(behind: Behind, client: Client, is_back: Callable[[], bool]) -> int:
    """Cancel what the views show as working; how many orders that ended."""
    ended = 0
    # Not by the session's own door: these names are none that its client gave.
    venue = client._replace(door=DOOR)
    for account_id in client.terms.accounts.values():
        # First, so that their legs are gone with them: none is canceled by itself.
        working = [
            *await behind.views.working_strategies(account_id),
            *await behind.views.working_orders(account_id),
        ]
        for start in range(0, len(working), AT_ONCE):
            if is_back():
                return 0
            part = working[start : start + AT_ONCE]
            ours = [one for one in part if await behind.owner(one) == client.door]
            replies = await asyncio.gather(
                *(behind.send(venue, _cancel(account_id, one)) for one in ours)
            )
            # The leg of a group may be gone with another: a refusal is as good.
            ended += sum(reply.refusal is None for reply in replies)
    return ended


def _cancel(account_id: UUID, order_id: UUID) -> CancelOrder:
    return CancelOrder(account_id, order_id, "", f"disconnected {uuid.uuid4().hex}")
