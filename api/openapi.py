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
from api.documents import DOCUMENTS, Document
from api.orders import TRADERS_REQUESTS, Order
from api.schemas import RequestBody

ANSWERS: tuple[type[Document], ...] = (Order, *DOCUMENTS)
"""Every answer that a route gives."""

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
        "`/stream`."
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
        [(model, "validation") for model in (*TRADERS_REQUESTS, *OPERATORS_REQUESTS)],
        ref_template=_PREFIX + "{model}",
    )
    _, responses = models_json_schema(
        [(model, "serialization") for model in ANSWERS], ref_template=_PREFIX + "{model}"
    )
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    schemas.update(requests["$defs"])
    schemas.update(responses["$defs"])
    for operations in document["paths"].values():
        for operation in operations.values():
            _drop_foreign_words(operation)
    shown: dict[str, Any] = _plain_references(document)
    return shown


def _drop_foreign_words(operation: Any) -> None:
    """Take out the framework's own validation error: that answer is never given."""
    answers = operation.get("responses", {}) if isinstance(operation, dict) else {}
    if "application/json" in answers.get("400", {}).get("content", {}):
        del answers["400"]


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
