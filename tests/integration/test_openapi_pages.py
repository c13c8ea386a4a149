"""The pages of the documentation are ours alone, and every answer says how it is to be kept."""

import json
import socket
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest
from litestar.openapi import plugins

from infrastructure.embedded_server import EmbeddedServer
from tests.venue import Trader, Venue, served

SAID = {
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
    "content-security-policy": "frame-ancestors 'none'",
}


@pytest.fixture(scope="module")
def venue(postgres: EmbeddedServer) -> Iterator[Venue]:
    """One venue for all tests of this file."""
    with served(postgres.dsn()) as venue:
        yield venue


@pytest.fixture(scope="module")
def trader(venue: Venue) -> Trader:
    """An account with cash."""
    return venue.trader()


@pytest.fixture(scope="module")
def client(venue: Venue, trader: Trader) -> Iterator[httpx.Client]:
    """The trader's client."""
    with venue.client(trader) as client:
        yield client


def paths_of_the_framework() -> set[str]:
    """Where every plugin of the framework's would show its page, under every usual root."""
    kinds = [
        kind
        for kind in vars(plugins).values()
        if isinstance(kind, type)
        and issubclass(kind, plugins.OpenAPIRenderPlugin)
        and kind is not plugins.OpenAPIRenderPlugin
    ]
    assert len(kinds) >= 6
    shown = {path for kind in kinds for path in kind().paths}
    names = {
        *shown,
        "/",
        "",
        "/openapi.json",
        "/openapi.yaml",
        "/openapi.yml",
        "/oauth2-redirect.html",
    }
    return {root + path for root in ("", "/openapi", "/schema", "/docs") for path in names} - {
        "/docs",
        "/docs/",
        "/openapi.json",
    }


def test_openapi_pages_of_the_framework_are_gone(venue: Venue) -> None:
    """They load scripts from elsewhere; each is as unknown as any other path."""
    with httpx.Client(base_url=venue.url) as client:
        for path in sorted(paths_of_the_framework()):
            for asked in (path or "/", f"{path}/x", f"{path}?x=1"):
                answer = client.get(asked)
                assert 404 == answer.status_code, asked
                assert "application/problem+json" == answer.headers["content-type"], asked
        for name in ("openapi", "redoc", "swagger", "elements", "rapidoc", "scalar", "schema"):
            assert 404 == client.get(f"/{name}").status_code
            assert 404 == client.get(f"/{name}/index.html").status_code


def test_openapi_document_and_its_page_stay(venue: Venue) -> None:
    """The page loads nothing from elsewhere, may run what stands in it, and stands in no frame."""
    with httpx.Client(base_url=venue.url) as client:
        document, page = client.get("/openapi.json"), client.get("/docs")

    assert "/v2/orders" in document.json()["paths"]
    assert "text/html" in page.headers["content-type"]
    policies = [v for k, v in page.headers.multi_items() if k == "content-security-policy"]
    assert SAID["content-security-policy"] in policies
    assert any("script-src 'unsafe-inline'" in policy for policy in policies)
    assert "<script>" in page.text
    assert "http://" not in page.text and "https://" not in page.text


def answers(client: httpx.Client, venue: Venue) -> list[tuple[str, httpx.Response]]:
    """One answer of every kind: taken, refused, unknown, from a route and from none."""
    order = {"symbol": "NOPE", "qty": "1", "side": "buy", "type": "market", "time_in_force": "day"}
    asked: list[tuple[int, str, str, dict[str, Any]]] = [
        (200, "GET", "/v2/account", {}),
        (200, "GET", "/v2/orders", {}),
        (207, "DELETE", "/v2/orders", {}),
        (404, "GET", f"/v2/orders/{uuid4()}", {}),
        (422, "POST", "/v2/orders", {"json": order}),
        (400, "POST", "/v2/orders", {"content": b"{"}),
        (413, "POST", "/v2/orders", {"content": b" " * 70_000}),
        (422, "GET", "/v2/orders?nothing=1", {}),
        (403, "GET", "/admin/accounts", {}),
        (404, "GET", "/nothing", {}),
        (404, "GET", "/v2/nothing", {}),
        (405, "PUT", "/v2/orders", {}),
        (200, "GET", "/healthz", {}),
        (200, "GET", "/readyz", {}),
        (200, "GET", "/openapi.json", {}),
        (200, "GET", "/docs", {}),
    ]
    found = [
        (f"{method} {path}", wanted, client.request(method, path, **more))
        for wanted, method, path, more in asked
    ]
    with httpx.Client(base_url=venue.url) as nobody:
        found.append(("no key", 401, nobody.get("/v2/account")))
    for where, wanted, answer in found:
        assert wanted == answer.status_code, f"{where}: {answer.text}"
    return [(where, answer) for where, _, answer in found]


def test_every_answer_says_how_it_is_to_be_kept(client: httpx.Client, venue: Venue) -> None:
    """Not sniffed, not stored, in no frame: once each, whatever the status."""
    for where, answer in answers(client, venue):
        for name, value in SAID.items():
            told = [v for k, v in answer.headers.multi_items() if k == name]
            if where.endswith("/docs") and name == "content-security-policy":
                assert value in told, where
            else:
                assert [value] == told, where


def test_what_is_no_http_is_answered_with_the_same_headers(venue: Venue) -> None:
    """The server answers it before any route is looked for."""
    with socket.create_connection(venue.address, timeout=10) as raw:
        raw.sendall(b"NONSENSE\r\n\r\n")
        told = b""
        while chunk := raw.recv(4096):
            told += chunk

    head = told.decode().lower()
    assert head.startswith("http/1.1 400")
    for name, value in SAID.items():
        assert f"{name}: {value}" in head


def test_problems_stay_problems(client: httpx.Client) -> None:
    """The document is whole beside its headers."""
    answer = client.get("/v2/orders?nothing=1")

    assert ("INVALID_FIELD", "nothing") == tuple(
        json.loads(answer.content)[name] for name in ("reason", "field")
    )
