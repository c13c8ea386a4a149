"""The OpenAPI document: routes from the handlers, bodies from the models that judge them."""

from __future__ import annotations

from typing import Any

from litestar import Litestar, Router
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.spec import Components, Reference, Schema, SecurityScheme
from litestar.plugins import OpenAPISchemaPlugin
from litestar.routes import BaseRoute
from litestar.typing import FieldDefinition
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from api.admin_schemas import OPERATORS_REQUESTS
from api.calendar import CalendarDay
from api.closing import ClosedPosition
from api.configurations import AccountConfiguration, ConfigurationRequest
from api.documents import DOCUMENTS, Document
from api.health_documents import HEALTH_DOCUMENTS
from api.http.fairness import LIMIT, REMAINING, RESET
from api.http.responses import DATA_AGE, DATA_SOURCE, DATA_TIER, WARNING
from api.key_documents import KEY_DOCUMENTS
from api.market_documents import MARKET_DOCUMENTS
from api.option_documents import OPTION_DOCUMENTS
from api.orders import TRADERS_REQUESTS, Order
from api.portfolio import PortfolioHistory
from api.refusals import DUPLICATE, POSITION, PROBLEM_JSON
from api.schemas import RequestBody
from api.strategy_profits import StrategyPosition
from api.submitted import SubmittedOrder
from api.watchlists import WATCHLIST_REQUESTS, Watchlist

ANSWERS: tuple[type[Document], ...] = (
    Order,
    ClosedPosition,
    AccountConfiguration,
    CalendarDay,
    PortfolioHistory,
    StrategyPosition,
    Watchlist,
    *KEY_DOCUMENTS,
    *MARKET_DOCUMENTS,
    *OPTION_DOCUMENTS,
    *DOCUMENTS,
    *HEALTH_DOCUMENTS,
)
"""Every answer that a route gives."""

REQUESTS: tuple[type[RequestBody], ...] = (
    *TRADERS_REQUESTS,
    *WATCHLIST_REQUESTS,
    ConfigurationRequest,
    *OPERATORS_REQUESTS,
)
"""Every body that a route reads."""

_PREFIX = "#/components/schemas/"


class ModelsByReference(OpenAPISchemaPlugin):
    """Names our models where a route uses them; `complete` says what they are."""

    @staticmethod
    def is_plugin_supported_type(value: Any) -> bool:
        """Whether it is one of our models."""
        return isinstance(value, type) and issubclass(value, RequestBody | Document)

    def to_openapi_schema(self, field_definition: FieldDefinition, schema_creator: Any) -> Schema:
        """A reference to the model."""
        model: type[BaseModel] = field_definition.annotation
        return Schema(all_of=[Reference(ref=_PREFIX + model.__name__)])


class _NoPages(Router):
    """Takes none of the pages that the framework makes of the document.

    They load scripts from elsewhere, and an empty list of plugins brings them back.
    """

    def register(self, value: Any) -> list[BaseRoute]:
        """Take nothing."""
        return []


CONFIG = OpenAPIConfig(
    title="NexusTrade",
    version="2",
    summary="A trading venue in Alpaca's shapes.",
    description=(
        "Every answer to an order is given after its events are committed. Decimals are exact "
        "both ways: send strings or JSON numbers, strings come back. Refusals are RFC 9457 "
        "problems with Alpaca's `code` and `message`. The trading stream is a WebSocket at "
        "`/stream`; market data is told by those at `/v2/book`, `/v2/trades` and `/v2/quotes`."
    ),
    components=Components(
        security_schemes={
            "key": SecurityScheme(
                type="apiKey", name="APCA-API-KEY-ID", security_scheme_in="header"
            ),
            "secret": SecurityScheme(
                type="apiKey", name="APCA-API-SECRET-KEY", security_scheme_in="header"
            ),
        }
    ),
    use_handler_docstrings=True,
    openapi_router=_NoPages("/openapi", route_handlers=[]),
)


def complete(app: Litestar) -> dict[str, Any]:
    """The whole document, with the models' own schemas under its references."""
    document: dict[str, Any] = app.openapi_schema.to_schema()
    _, requests = models_json_schema(
        [(model, "validation") for model in REQUESTS],
        ref_template=_PREFIX + "{model}",
    )
    _, responses = models_json_schema(
        [(model, "serialization") for model in ANSWERS], ref_template=_PREFIX + "{model}"
    )
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    schemas.update(requests["$defs"])
    schemas.update(responses["$defs"])
    schemas[SubmittedOrder.__name__] = _either_of(SubmittedOrder)
    for operations in document["paths"].values():
        for operation in operations.values():
            if isinstance(operation, dict):
                _tell_truly(operation["responses"], has_body="requestBody" in operation)
    shown: dict[str, Any] = _plain_references(document)
    return shown


def _either_of(submitted: type[SubmittedOrder]) -> dict[str, Any]:
    """A body that is one of several requests, whichever its order class says."""
    return {
        "description": submitted.__doc__,
        "oneOf": [{"$ref": _PREFIX + kind.__name__} for kind in submitted.KINDS.values()],
    }


def _tell_truly(answers: dict[str, dict[str, Any]], *, has_body: bool) -> None:
    """Say of the answers of an operation what the framework does not know.

    204 has no content, and only what is sent can be too large. A command's refusal says where it
    stands as its success does, and some refusals have headers of their own.
    """
    answers.get("204", {}).pop("content", None)
    if not has_body:
        answers.pop("413", None)
    of_command: dict[str, Any] = {}
    for status, answer in answers.items():
        told = answer.setdefault("headers", {})
        for name in told:
            told[name] = {**told[name], "schema": HEADER_SCHEMAS[name]}
        if status.startswith("2"):
            of_command = {name: said for name, said in told.items() if name in _OF_COMMANDS}
    for status, answer in answers.items():
        if status in _DECIDED:
            answer["headers"] |= of_command
        if PROBLEM_JSON in answer.get("content", {}):
            answer["headers"] |= _OF_STATUS.get(status, {})
        if "401" in answers and status != "401":
            answer["headers"] |= _OF_KEY
        if not answer["headers"]:
            del answer["headers"]


_OF_COMMANDS = (POSITION, DUPLICATE)
_DECIDED = ("403", "404", "409", "422")
"""Statuses of what the writer refuses for good."""

HEADER_SCHEMAS: dict[str, dict[str, Any]] = {
    POSITION: {"type": "string", "pattern": "^[1-9][0-9]*$"},
    DUPLICATE: {"type": "string", "enum": ["true"]},
    DATA_AGE: {"type": "string", "pattern": "^[0-9]+$"},
    DATA_TIER: {"type": "string", "enum": ["1", "2", "3"]},
    DATA_SOURCE: {"type": "string", "enum": ["feed", "views"]},
    WARNING: {"type": "string", "pattern": "^110 "},
}

_OF_KEY: dict[str, Any] = {
    LIMIT: {
        "description": "How many requests the key may make in a second.",
        "schema": {"type": "string", "pattern": "^[1-9][0-9]*$"},
    },
    REMAINING: {
        "description": "How many of them it may make now.",
        "schema": {"type": "string", "pattern": "^[0-9]+$"},
    },
    RESET: {
        "description": "In how many seconds it may make all of them again.",
        "schema": {"type": "string", "pattern": "^[0-9]+$"},
    },
}
"""Headers of every answer to a key that is known."""

_RETRY: dict[str, Any] = {
    "Retry-After": {
        "description": "Seconds after which to ask again.",
        "required": True,
        "schema": {"type": "string", "pattern": "^[1-9][0-9]*$"},
    }
}
_OF_STATUS: dict[str, dict[str, Any]] = {
    "401": {
        "WWW-Authenticate": {
            "description": "How to say who asks: by the two headers of a key.",
            "required": True,
            "schema": {"type": "string"},
        }
    },
    "429": _RETRY,
    "503": _RETRY,
}
"""Headers of problems, by status."""


def _plain_references(part: Any) -> Any:
    """The same document with each reference standing alone."""
    if isinstance(part, list):
        return [_plain_references(item) for item in part]
    if not isinstance(part, dict):
        return part
    whole = part.get("allOf")
    if isinstance(whole, list) and len(whole) == 1 and "$ref" in whole[0]:
        return whole[0]
    return {name: _plain_references(value) for name, value in part.items()}
