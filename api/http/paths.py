"""Symbols in paths: one may have a slash, written as it is or as %2F, and is one name all the same.

A router knows a slash as the end of a part and nothing else. So a symbol that has one is routed
under its encoded form, and put back before anybody reads it.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, unquote_to_bytes

from litestar import Litestar

from api.door.refusals import refusals_of
from api.http.fairness import answering, leave
from api.http.late import is_late, refuse_late

SYMBOL = "symbol_of_path"
"""Where a scope has the symbol that its path names, when that has a slash."""

_BEHIND = {
    b"/v2/assets/": frozenset[bytes](),
    b"/v2/options/contracts/": frozenset[bytes](),
    b"/v2/positions/": frozenset({b"exercise"}),
    b"/v2/stocks/": frozenset({b"orderbook", b"quotes/latest", b"trades/latest"}),
    b"/admin/instruments/": frozenset({b"open", b"close", b"halt", b"resume", b"mark"}),
}
"""Which paths go on with a symbol, and what may stand behind it."""


class App(Litestar):
    """The application, which finds what is called by a symbol with a slash, and gives each key's
    place back when a request is answered. What came too late is no more than refused.
    """

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await super().__call__(scope, receive, send)
            return
        if is_late(scope):
            await refuse_late(scope, send, self.state["gateway"].fairness, refusals_of(self))
            return
        route_symbol(scope)
        try:
            await super().__call__(scope, receive, answering(scope, send))
        finally:
            leave(scope)


def route_symbol(scope: Any) -> None:
    """Make one part of the path of a symbol that has a slash, and remember it."""
    raw: bytes = scope["raw_path"]
    for before, verbs in _BEHIND.items():
        if not raw.startswith(before):
            continue
        rest = raw[len(before) :].rstrip(b"/")
        verb = next((b"/" + verb for verb in verbs if rest.endswith(b"/" + verb)), b"")
        try:
            symbol = unquote_to_bytes(rest.removesuffix(verb)).decode()
        except UnicodeDecodeError:
            return
        if "/" in symbol:
            scope[SYMBOL] = symbol
            scope["path"] = f"{before.decode()}{quote(symbol, safe='')}{verb.decode()}"


def name_symbol(scope: Any) -> None:
    """Let the path's parameter be the symbol itself, once a route is found."""
    symbol = scope.get(SYMBOL)
    if symbol is not None:
        scope["path_params"] = dict.fromkeys(scope["path_params"], symbol)
