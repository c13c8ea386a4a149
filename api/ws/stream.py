"""/stream: Alpaca's trading stream, and orders over the same socket.

Messages: authenticate, listen, and as an extension order, replace and cancel, whose answers
echo the message's `id`. Frames may be text or binary; answers come in the kind last received.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Any, TypeGuard

from litestar import websocket
from litestar.exceptions import WebSocketDisconnect

from api import trading
from api.auth import Principal
from api.decimals import ExactWebSocket
from api.door import refusals
from api.door.fairness import Kind
from api.json_members import DoubledMember
from api.orders import ReplaceRequest
from api.patience import AWAY, STORE_AWAY
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
from api.scopes import check_scope
from api.submitted import SubmittedOrder
from api.ws.echoed import echoed, id_of
from api.ws.handshake import STREAM, known
from api.ws.outbox import Outbox
from api.ws.subscriptions import Since
from api.ws.trade_updates import EVENT_NAMES
from application.commands import Refusal
from domain.api_key import READ, TRADE
from domain.errors import InvalidField, Rejection, VenueUnavailable

DOOR = "ws"
AUTHENTICATE_WITHIN = 10.0
CLOSE_WITHIN = 5.0
COMMANDS_UNDER_WAY = 128
LARGEST_POSITION = 2**63 - 1

POLICY_VIOLATION = 1008
INTERNAL_ERROR = 1011
TRY_AGAIN_LATER = 1013

log = logging.getLogger("nexus.stream")


class StreamClient:
    """One client's connection."""

    def __init__(self, socket: ExactWebSocket, gateway: Gateway) -> None:
        self.socket = socket
        self.gateway = gateway
        self.outbox = Outbox()
        self.refusals = refusals.refusals_of(socket.app)
        self.key: tuple[str, str] = ("", "")
        self.who: Principal | None = None
        self.listening = False
        self.unheard = False
        self.binary = False
        self.close_code: int | None = None
        self._under_way: set[asyncio.Task[None]] = set()
        self._places = asyncio.Semaphore(COMMANDS_UNDER_WAY)
        self._known = asyncio.Event()

    async def run(self) -> None:
        """Serve the client until either side has had enough."""
        tasks = [
            asyncio.create_task(work())
            for work in (
                *(self._receive, self._send),
                *(self._drop_when_slow, self._drop_when_ended, self._drop_when_revoked),
            )
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (*tasks, *self._under_way):
                task.cancel()
            for outcome in await asyncio.gather(*tasks, *self._under_way, return_exceptions=True):
                if isinstance(outcome, Exception) and not isinstance(outcome, WebSocketDisconnect):
                    log.error("a stream failed", exc_info=outcome)
                    self.close_code = self.close_code or INTERNAL_ERROR
            if self.who is not None:
                self.gateway.fairness.close_socket(self.who.key_id)
            await self.gateway.updates.leave(self.outbox)
        if self.close_code is not None:
            with contextlib.suppress(Exception):
                async with asyncio.timeout(CLOSE_WITHIN):
                    await self.socket.close(code=self.close_code)

    async def _receive(self) -> None:
        while self.close_code is None:
            is_command = False
            try:
                message, self.binary = await self.socket.receive_exact()
                is_command = isinstance(message, dict) and _is_command(message.get("action"))
                await self._take(message)
            except DoubledMember as error:
                self._refuse_doubled(error)
            except (Rejection, Refused) as error:
                self._say_error(error)
            # Commands are counted where they are answered.
            if self.who is not None and not is_command:
                await self.gateway.fairness.read_on(self.who.key_id)

    def _say_error(self, error: Rejection | Refused) -> None:
        said = self._refusal_of(error)
        self.outbox.say("error", {**said.pop("body"), **said})

    def _refuse_doubled(self, error: DoubledMember) -> None:
        """Answer a message that says something twice: where its sender waits for the answer."""
        message, place = error.last_said, error.details["field"]
        inner = place.removeprefix("data.")
        if (
            inner == place
            or not isinstance(message, dict)
            or not _is_command(message.get("action"))
        ):
            self._say_error(error)
            return
        error.message = error.message.removeprefix("data.")
        error.details["field"] = inner
        told = {"action": message["action"], "id": echoed(message)}
        self.outbox.say("orders", told | self._refusal_of(error))

    async def _send(self) -> None:
        # A client that is gone is noticed by both sides of the work at once.
        with contextlib.suppress(OSError):
            while True:
                message = await self.outbox.next()
                if self.binary:
                    await self.socket.send_data(message, mode="binary")
                else:
                    await self.socket.send_data(message.decode(), mode="text")

    async def _drop_when_slow(self) -> None:
        await self.outbox.full.wait()
        self._count(refusals.SLOW_CLIENT)
        self.close_code = TRY_AGAIN_LATER

    async def _drop_when_ended(self) -> None:
        await self.outbox.ended.wait()
        self.close_code = INTERNAL_ERROR

    async def _drop_when_revoked(self) -> None:
        """End a connection that never says who it is, or whose key is no longer good.

        While the store is away nobody can tell, and nobody is sent away for it.
        """
        while self.who is None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(AUTHENTICATE_WITHIN):
                    await self._known.wait()
            if self.who is None and not self.unheard:
                self._count(refusals.AUTH_TIMEOUT)
                self.close_code = POLICY_VIOLATION
                return
            # It said who it is, and could not be looked up: it may say it again.
            self.unheard = False
        await self.gateway.keys.until_ended(*self.key)
        self.close_code = POLICY_VIOLATION

    async def _take(self, message: Any) -> None:
        if not isinstance(message, dict):
            raise InvalidField("message", "must be a JSON object")
        action = message.get("action")
        if action in ("authenticate", "auth"):
            await self._authenticate(message)
        elif action == "listen":
            await self._listen(message)
        elif _is_command(action):
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
            self.unheard = True
            who = None
            with contextlib.suppress(NotAuthorized):
                who = await self.gateway.keys.principal(key_id, secret)
            self.unheard = False
            if who is not None:
                if who.account_id is None:
                    raise RoleRequired("trader")
                check_scope(who, READ)
                self.gateway.fairness.open_socket(who.key_id)
                self.who, self.key, status = who, (key_id, secret), "authorized"
                known(self.socket, key_id)
                self._known.set()
        if status == "unauthorized":
            self._count(NotAuthorized.code)
        self.outbox.say("authorization", {"status": status, "action": "authenticate"})

    async def _listen(self, message: dict[str, Any]) -> None:
        if self.who is None:
            self._count(NotAuthorized.code)
            self.outbox.say("authorization", {"status": "unauthorized", "action": "listen"})
            return
        data = message.get("data")
        fields = data if isinstance(data, dict) else {}
        wanted = fields.get("streams")
        if not isinstance(wanted, list) or not all(isinstance(name, str) for name in wanted):
            raise InvalidField("data.streams", "must be a list of names")
        since = _since(fields)
        told: dict[str, Any] = {"streams": []}
        if "trade_updates" in wanted:
            told["streams"] = ["trade_updates"]
            if since is not None or not self.listening:
                account_id = trading.trader(self.who)
                told["position"] = await self.gateway.updates.listen(account_id, self.outbox, since)
                self.listening = True
        else:
            await self.gateway.updates.leave(self.outbox)
            self.listening = False
        self.outbox.say("listening", told)

    async def _command(self, action: str, message: dict[str, Any]) -> None:
        said_as = id_of(message)
        await self._places.acquire()
        task = asyncio.create_task(self._answer(action, message, said_as))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _answer(self, action: str, message: dict[str, Any], said_as: Any) -> None:
        answer: dict[str, Any] = {"action": action, "id": said_as}
        try:
            who = await self.gateway.keys.principal(*self.key)
            check_scope(who, TRADE)
            kind = Kind.CANCEL if action == "cancel" else Kind.ORDER
            async with self.gateway.fairness.turn(who.key_id, kind):
                done = await _COMMANDS[action](self.gateway, who, message.get("data"))
            answer |= {
                "status": 200,
                "position": done.position,
                "duplicate": done.duplicate,
                "body": done.document,
            }
        except (Rejection, Refused) as error:
            answer |= self._refusal_of(error)
        except AWAY as error:
            log.warning("%s over a stream: the store is away: %s", action, error)
            answer |= self._refusal_of(VenueUnavailable(STORE_AWAY))
        except Exception as error:
            log.error("%s over a stream failed", action, exc_info=error)
            answer |= self._refusal_of(InternalError())
        finally:
            self._places.release()
        self.outbox.say("orders", answer)

    def _refusal_of(self, error: Rejection | Refused) -> dict[str, Any]:
        said = _refusal_of(error)
        self._count(said["body"]["reason"])
        return said

    def _count(self, reason: str) -> None:
        self.refusals.count(refusals.STREAM, reason)


def _is_command(action: Any) -> TypeGuard[str]:
    return isinstance(action, str) and action in _COMMANDS


async def _place(gateway: Gateway, who: Principal, data: Any) -> trading.Done:
    return await trading.place(gateway, who, validated(SubmittedOrder, data), _key(data), DOOR)


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


def _since(data: dict[str, Any]) -> Since | None:
    """Where a client wants to be told on from; None for now."""
    position, event = data.get("since_position"), data.get("since_event", "")
    if event is None:
        event = ""
    if not isinstance(event, str) or (event and event not in EVENT_NAMES):
        raise InvalidField("data.since_event", "must be the event of a trade update")
    if position is None:
        if event:
            raise InvalidField("data.since_position", "is required with since_event")
        return None
    if type(position) is not int or not 0 <= position <= LARGEST_POSITION:
        raise InvalidField("data.since_position", "must be the position of an update, or 0")
    return Since(position, event)


def _problem(error: Rejection | Refused) -> tuple[int, dict[str, Any]]:
    refusal: Refusal
    paths: tuple[str, ...] = ()
    if isinstance(error, Refused):
        refusal, paths = error.refusal, error.path_fields
    else:
        refusal = refusal_of(error)
    status = status_of(refusal, paths)
    return status, problem_document(refusal, status)


@websocket(STREAM)
async def stream(socket: ExactWebSocket) -> None:
    """Serve one client of the trading stream."""
    await socket.accept()
    await StreamClient(socket, socket.app.state["gateway"]).run()
