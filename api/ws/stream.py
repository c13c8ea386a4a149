"""/stream: Alpaca's trading stream, and orders over the same socket.

Messages: authenticate, listen, and as an extension order, replace and cancel, whose answers
echo the message's `id`. Frames may be text or binary; answers come in the kind last received.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Any

import msgspec
from litestar import websocket
from litestar.exceptions import WebSocketDisconnect

from api import trading
from api.auth import REMEMBERED_SECONDS, Principal
from api.decimals import ExactWebSocket
from api.orders import OrderRequest, ReplaceRequest
from api.processes.gateway import Gateway
from api.refusals import (
    SAYS,
    InternalError,
    NotAuthorized,
    Refused,
    RoleRequired,
    problem_document,
    refusal_of,
    status_of,
)
from api.schemas import plain_text, validated
from application.commands import Refusal
from domain.errors import InvalidField, Rejection

DOOR = "ws"
AUTHENTICATE_WITHIN = 10.0
CLOSE_WITHIN = 5.0
MESSAGES_WAITING = 1_024
COMMANDS_UNDER_WAY = 128

POLICY_VIOLATION = 1008
TRY_AGAIN_LATER = 1013

log = logging.getLogger("nexus.stream")
_encode = msgspec.json.Encoder().encode


class Outbox:
    """What waits to be sent to one client: bounded, written by anybody, read by its sender."""

    def __init__(self) -> None:
        self._messages: asyncio.Queue[bytes] = asyncio.Queue(MESSAGES_WAITING)
        self.full = asyncio.Event()

    def say(self, stream: str, data: Any) -> None:
        """Queue one message; a client that leaves too many unread loses the connection."""
        try:
            self._messages.put_nowait(_encode({"stream": stream, "data": data}))
        except asyncio.QueueFull:
            self.full.set()

    def tell(self, update: dict[str, Any]) -> None:
        """Queue one trade update."""
        self.say("trade_updates", update)

    def end(self) -> None:
        """Have the connection closed: what it listens to has ended."""
        self.full.set()

    async def next(self) -> bytes:
        """The next message."""
        return await self._messages.get()


class StreamClient:
    """One client's connection."""

    def __init__(self, socket: ExactWebSocket, gateway: Gateway) -> None:
        self.socket = socket
        self.gateway = gateway
        self.outbox = Outbox()
        self.key: tuple[str, str] = ("", "")
        self.who: Principal | None = None
        self.listening = False
        self.binary = False
        self.close_code: int | None = None
        self._under_way: set[asyncio.Task[None]] = set()
        self._places = asyncio.Semaphore(COMMANDS_UNDER_WAY)

    async def run(self) -> None:
        """Serve the client until either side has had enough."""
        tasks = [
            asyncio.create_task(work())
            for work in (self._receive, self._send, self._drop_when_slow, self._drop_when_revoked)
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (*tasks, *self._under_way):
                task.cancel()
            for outcome in await asyncio.gather(*tasks, *self._under_way, return_exceptions=True):
                if isinstance(outcome, Exception) and not isinstance(outcome, WebSocketDisconnect):
                    log.error("a stream failed", exc_info=outcome)
                    self.close_code = self.close_code or 1011
            if self.listening:
                assert self.who is not None
                await self.gateway.updates.leave(trading.trader(self.who), self.outbox)
        if self.close_code is not None:
            with contextlib.suppress(Exception):
                async with asyncio.timeout(CLOSE_WITHIN):
                    await self.socket.close(code=self.close_code)

    async def _receive(self) -> None:
        while self.close_code is None:
            try:
                message, self.binary = await self.socket.receive_exact()
                await self._take(message)
            except (Rejection, Refused) as error:
                self.outbox.say("error", _problem(error)[1])

    async def _send(self) -> None:
        while True:
            message = await self.outbox.next()
            if self.binary:
                await self.socket.send_data(message, mode="binary")
            else:
                await self.socket.send_data(message.decode(), mode="text")

    async def _drop_when_slow(self) -> None:
        await self.outbox.full.wait()
        self.close_code = TRY_AGAIN_LATER

    async def _drop_when_revoked(self) -> None:
        """End a connection that never says who it is, or whose key is no longer good."""
        await asyncio.sleep(AUTHENTICATE_WITHIN)
        while True:
            try:
                await self.gateway.keys.principal(*self.key)
            except NotAuthorized:
                self.close_code = POLICY_VIOLATION
                return
            await asyncio.sleep(REMEMBERED_SECONDS)

    async def _take(self, message: Any) -> None:
        if not isinstance(message, dict):
            raise InvalidField("message", "must be a JSON object")
        action = message.get("action")
        if action in ("authenticate", "auth"):
            await self._authenticate(message)
        elif action == "listen":
            await self._listen(message)
        elif isinstance(action, str) and action in _COMMANDS:
            await self._command(action, message)
        else:
            raise InvalidField("action", "is not known")

    async def _authenticate(self, message: dict[str, Any]) -> None:
        data = message.get("data")
        fields = data if isinstance(data, dict) else message
        key_id = fields.get("key_id", fields.get("key"))
        secret = fields.get("secret_key", fields.get("secret"))
        status = "unauthorized"
        if isinstance(key_id, str) and isinstance(secret, str) and self.who is None:
            with contextlib.suppress(NotAuthorized):
                who = await self.gateway.keys.principal(key_id, secret)
                if who.account_id is None:
                    raise RoleRequired("trader")
                self.who, self.key, status = who, (key_id, secret), "authorized"
        self.outbox.say("authorization", {"status": status, "action": "authenticate"})

    async def _listen(self, message: dict[str, Any]) -> None:
        if self.who is None:
            self.outbox.say("authorization", {"status": "unauthorized", "action": "listen"})
            return
        data = message.get("data")
        wanted = data.get("streams") if isinstance(data, dict) else None
        if not isinstance(wanted, list) or not all(isinstance(name, str) for name in wanted):
            raise InvalidField("data.streams", "must be a list of names")
        account_id = trading.trader(self.who)
        listen = "trade_updates" in wanted
        if listen and not self.listening:
            await self.gateway.updates.listen(account_id, self.outbox)
        elif self.listening and not listen:
            await self.gateway.updates.leave(account_id, self.outbox)
        self.listening = listen
        self.outbox.say("listening", {"streams": ["trade_updates"] if listen else []})

    async def _command(self, action: str, message: dict[str, Any]) -> None:
        await self._places.acquire()
        task = asyncio.create_task(self._answer(action, message))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _answer(self, action: str, message: dict[str, Any]) -> None:
        answer: dict[str, Any] = {"action": action, "id": message.get("id")}
        try:
            who = await self.gateway.keys.principal(*self.key)
            done = await _COMMANDS[action](self.gateway, who, message.get("data"))
            answer |= {
                "status": 200,
                "position": done.position,
                "duplicate": done.duplicate,
                "body": done.document,
            }
        except (Rejection, Refused) as error:
            answer |= _refusal_of(error)
        except Exception as error:
            log.error("%s over a stream failed", action, exc_info=error)
            answer |= _refusal_of(InternalError())
        finally:
            self._places.release()
        self.outbox.say("orders", answer)


async def _place(gateway: Gateway, who: Principal, data: Any) -> trading.Done:
    return await trading.place(gateway, who, validated(OrderRequest, data), DOOR)


async def _replace(gateway: Gateway, who: Principal, data: Any) -> trading.Done:
    terms = validated(ReplaceRequest, data)
    order_id = trading.order_id_in(data.get("order_id"))
    return await trading.replace(gateway, who, order_id, terms, _key(data), DOOR)


async def _cancel(gateway: Gateway, who: Principal, data: Any) -> trading.Done:
    if not isinstance(data, dict):
        raise InvalidField("data", "must be a JSON object")
    order_id = trading.order_id_in(data.get("order_id"))
    return await trading.cancel(gateway, who, order_id, _key(data), DOOR)


_COMMANDS = {"order": _place, "replace": _replace, "cancel": _cancel}


def _key(data: dict[str, Any]) -> str | None:
    return plain_text(data.get("idempotency_key"), "idempotency_key")


def _refusal_of(error: Rejection | Refused) -> dict[str, Any]:
    """What the answer to a refused message says, as the headers and the body do over HTTP."""
    status, document = _problem(error)
    said: dict[str, Any] = {"status": status, "body": document}
    if isinstance(error, Refused):
        said |= {"position": error.position, "duplicate": error.duplicate}
    seconds = SAYS[document["reason"]].retry_after
    return said | {"retry_after": seconds} if seconds else said


def _problem(error: Rejection | Refused) -> tuple[int, dict[str, Any]]:
    refusal: Refusal
    paths: tuple[str, ...] = ()
    if isinstance(error, Refused):
        refusal, paths = error.refusal, error.path_fields
    else:
        refusal = refusal_of(error)
    status = status_of(refusal, paths)
    return status, problem_document(refusal, status)


@websocket("/stream")
async def stream(socket: ExactWebSocket) -> None:
    """Serve one client of the trading stream."""
    await socket.accept()
    await StreamClient(socket, socket.app.state["gateway"]).run()
