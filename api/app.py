"""The ASGI application: routes, one way to refuse, one way to read numbers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import msgspec
from litestar import Litestar, Router
from litestar.config.app import AppConfig
from litestar.plugins import InitPlugin
from litestar.plugins.pydantic import PydanticInitPlugin

from api.decimals import ExactRequest, ExactWebSocket
from api.door.refusals import KEPT, Refusals
from api.http import (
    account,
    activities,
    admin_accounts,
    admin_keys,
    admin_limits,
    admin_market,
    admin_options,
    admin_trades,
    announcements,
    assets,
    calendar,
    closing,
    configurations,
    docs,
    health,
    metrics,
    options,
    order_reads,
    orders,
    portfolio,
    risk,
    settlements,
    stocks,
    watchlists,
)
from api.http.allowed import with_options
from api.http.errors import HANDLERS, LARGEST_BODY
from api.http.guards import admin_only, trader_only
from api.http.paths import App
from api.http.query import taken_by
from api.metrics import told_of_refusals
from api.openapi import CONFIG, ModelsByReference, complete
from api.processes.gateway import Gateway
from api.schemas import RequestBody, validated
from api.ws.market_data.routes import HANDLERS as CHANNELS
from api.ws.stream import stream
from domain.money import use_exact_decimals

KEY: list[dict[str, list[str]]] = [{"key": [], "secret": []}]
TRADERS = Router(
    "/v2",
    route_handlers=with_options(
        [
            *orders.HANDLERS,
            *order_reads.HANDLERS,
            *account.HANDLERS,
            *activities.HANDLERS,
            *closing.HANDLERS,
            *configurations.HANDLERS,
            *risk.HANDLERS,
            *settlements.HANDLERS,
            *assets.HANDLERS,
            *options.HANDLERS,
            *announcements.HANDLERS,
            *calendar.HANDLERS,
            *portfolio.HANDLERS,
            *stocks.HANDLERS,
            *watchlists.HANDLERS,
        ]
    ),
    before_request=trader_only,
    security=KEY,
)
OPERATORS = Router(
    "/admin",
    route_handlers=with_options(
        [
            *admin_accounts.HANDLERS,
            *admin_keys.HANDLERS,
            *admin_limits.HANDLERS,
            *admin_market.HANDLERS,
            *admin_options.HANDLERS,
            *admin_trades.HANDLERS,
        ]
    ),
    before_request=admin_only,
    security=KEY,
)
OpenGateway = Callable[[], AbstractAsyncContextManager[Gateway]]


def create_app(open_gateway: OpenGateway | None = None) -> Litestar:
    """Build the application; without a gateway given, the environment says which to open."""

    @asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncIterator[None]:
        async with (open_gateway or _from_environment)() as gateway:
            app.state["gateway"] = gateway
            gateway.metrics.more.append(told_of_refusals(refusals))
            # Here alone: only over HTTP snapshots are asked for.
            gateway.snapshots.start()
            yield

    refusals = Refusals()
    # A context set inside the lifespan would hold in its task alone, and in no request's.
    use_exact_decimals()
    app = App(
        route_handlers=[
            *(TRADERS, OPERATORS, health.ROUTER, metrics.ROUTER, docs.ROUTER, stream, *CHANNELS)
        ],
        lifespan=[lifespan],
        request_class=ExactRequest,
        websocket_class=ExactWebSocket,
        exception_handlers=HANDLERS,
        request_max_body_size=LARGEST_BODY,
        openapi_config=CONFIG,
        plugins=[ModelsByReference(), PydanticInitPlugin(), BodiesByOurRules()],
        logging_config=None,
    )
    app.state[KEPT] = refusals
    app.state["query_parameters"] = taken_by(app)
    app.state["openapi"] = complete(app)
    app.state["openapi_bytes"] = msgspec.json.encode(app.state["openapi"])
    return app


class BodiesByOurRules(InitPlugin):
    """Has bodies judged by `validated`; the framework's own way would read "yes" as true."""

    def on_app_init(self, app_config: AppConfig) -> AppConfig:
        """Stand before the decoders that are there already."""
        app_config.type_decoders = [
            (_is_request_body, validated),
            *(app_config.type_decoders or []),
        ]
        return app_config


def _is_request_body(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, RequestBody)


def _from_environment() -> AbstractAsyncContextManager[Gateway]:
    from api.wiring import open_gateway
    from infrastructure.settings import Settings

    return open_gateway(Settings.load())
