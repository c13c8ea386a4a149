"""Who may call, and with which parameters: hooks that look before any body is read."""

from __future__ import annotations

from typing import Any

from litestar.connection import ASGIConnection

from api.auth import Principal
from api.http.fairness import count, enter
from api.http.parameters import LARGEST_POSITION
from api.http.paths import name_symbol
from api.http.query import check_whole, refuse_others
from api.processes.gateway import Gateway
from api.refusals import POSITION, NotAuthorized, RoleRequired
from api.scopes import check_scope, scope_of_request
from domain.errors import InvalidField

Connection = ASGIConnection[Any, Any, Any, Any]

_SAID_ONCE = {b"idempotency-key": "Idempotency-Key", POSITION.lower().encode(): POSITION}
"""Headers of which a second would be another request, or another answer."""


def gateway_of(connection: Connection) -> Gateway:
    """The gateway of this process."""
    gateway: Gateway = connection.app.state["gateway"]
    return gateway


def principal_of(connection: Connection) -> Principal:
    """Who asks, as a hook has found out."""
    principal: Principal = connection.scope["auth"]
    return principal


async def trader_only(connection: Connection) -> None:
    """Let the holder of an account's key in, when it is its turn; raises NotAuthorized,
    RoleRequired, ScopeRequired, InvalidField, TooManyRequests or QueueFull.
    """
    principal = await _authenticate(connection)
    if principal.account_id is None:
        raise RoleRequired("trader")
    _check_scope(connection, principal, operators=False)
    refuse_others(connection)
    name_symbol(connection.scope)
    _check_headers(connection)
    await enter(connection.scope, gateway_of(connection).fairness, principal)


async def admin_only(connection: Connection) -> None:
    """Let the venue's operator in, when it is its turn; raises NotAuthorized, RoleRequired,
    ScopeRequired, InvalidField, TooManyRequests or QueueFull.
    """
    principal = await _authenticate(connection)
    if principal.role != "admin":
        raise RoleRequired("admin")
    _check_scope(connection, principal, operators=True)
    refuse_others(connection)
    name_symbol(connection.scope)
    _check_headers(connection)
    await enter(connection.scope, gateway_of(connection).fairness, principal)


def _check_scope(connection: Connection, who: Principal, *, operators: bool) -> None:
    method = str(connection.scope.get("method"))
    needed = scope_of_request(method, operators=operators, opt=connection.route_handler.opt)
    if needed is not None:
        check_scope(who, needed)


def _check_headers(connection: Connection) -> None:
    """A key and a position are said once, and can be read; raises InvalidField."""
    seen = set[str]()
    for name, value in connection.scope["headers"]:
        said = _SAID_ONCE.get(name)
        if said is None:
            continue
        if said in seen:
            raise InvalidField(said, "is given more than once")
        seen.add(said)
        if said == POSITION:
            written = value.decode("latin-1")
            check_whole(written, POSITION)
            if not 0 <= int(written) <= LARGEST_POSITION:
                raise InvalidField(POSITION, f"must be from 0 to {LARGEST_POSITION}")
        elif not value.isascii():
            raise InvalidField(said, "may hold ASCII characters alone in a header")


async def _authenticate(connection: Connection) -> Principal:
    key_id = secret = None
    for name, value in connection.scope["headers"]:
        if name == b"apca-api-key-id":
            if key_id is not None:
                raise NotAuthorized
            key_id = value.decode("latin-1")
        elif name == b"apca-api-secret-key":
            if secret is not None:
                raise NotAuthorized
            secret = value.decode("latin-1")
    gateway = gateway_of(connection)
    try:
        principal = await gateway.keys.principal(key_id, secret)
    except NotAuthorized:
        await gateway.fairness.before_turning_away()
        raise
    connection.scope["auth"] = principal
    await count(connection.scope, gateway.fairness, principal)
    return principal
