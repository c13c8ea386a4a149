"""`nexus keys`: issue, list, rotate and revoke keys, as an operator does over HTTP."""

from __future__ import annotations

import json
import os
from datetime import datetime
from typing import Annotated, Any, NoReturn
from urllib.parse import quote

import httpx
import typer

from api.cli.exit_codes import Exit
from api.cli.printing import Table, tell, warn
from api.cli.reading import print_whole
from api.secrets_of_keys import ADMIN_KEY_ID
from infrastructure.settings import Settings

KEY_ID, SECRET = "APCA_API_KEY_ID", "APCA_API_SECRET_KEY"
TIMEOUT_SECONDS = 30

app = typer.Typer(
    rich_markup_mode=None,
    no_args_is_help=True,
    help=(
        "Issue, list, rotate and revoke keys.\n\n"
        "A gateway is asked over HTTP, so that an operator needs nothing but his own key: its id"
        f" in {KEY_ID}, its secret in {SECRET}; without these the key {ADMIN_KEY_ID} and"
        " NEXUS_ADMIN_KEY.\n\n"
        "Exit codes: 0 well, 1 the venue refuses, 2 a setting is wrong, 3 no gateway answers."
    ),
)

Json = Annotated[bool, typer.Option("--json", help="One line for machines.")]
Url = Annotated[
    str | None,
    typer.Option("--url", help="The gateway, instead of NEXUS_HOST and NEXUS_PORT."),
]
Until = Annotated[
    datetime | None,
    typer.Option(
        "--valid-until",
        formats=["%Y-%m-%dT%H:%M:%S%z"],
        help="When it expires, as 2026-12-31T18:00:00Z.",
        show_default=False,
    ),
]
KeyId = Annotated[str, typer.Argument(metavar="KEY_ID", help="The id of the key.")]


@app.command("list")
def list_keys(url: Url = None, as_json: Json = False) -> None:
    """Show every key: whose it is, what for, until when, and what happened to it last."""
    keys = _asked(url, "GET", "/admin/keys")
    if as_json:
        print(json.dumps({"keys": keys}))
        return
    table = Table("key", "account", "label", "scopes", "status", "valid until", "last event", "at")
    for key in keys:
        table.add_row(
            key["key_id"],
            key["account_id"] or "operator",
            key["label"],
            " ".join(key["scopes"]),
            key["status"],
            key["valid_until"] or "",
            key["last_event"] or "",
            key["last_event_at"] or "",
        )
    print_whole(table)


@app.command("create")
def create(
    label: Annotated[str, typer.Option(help="What it is for, and whose.")],
    scope: Annotated[
        list[str] | None,
        typer.Option(
            help="What it is good for: read, trade, admin or risk; may be said again.",
            show_default=False,
        ),
    ] = None,
    account: Annotated[
        str | None,
        typer.Option(help="The account; an operator's key without.", show_default=False),
    ] = None,
    valid_until: Until = None,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """Issue a key, and show its secret this once."""
    body: dict[str, Any] = {"label": label}
    if scope:
        body["scopes"] = scope
    if account is not None:
        body["account_id"] = account
    _show_secret(_asked(url, "POST", "/admin/keys", body | _until(valid_until)), as_json)


@app.command("rotate")
def rotate(
    key_id: KeyId, valid_until: Until = None, url: Url = None, as_json: Json = False
) -> None:
    """Give a key another secret, and show it this once; the one before ends at once."""
    path = f"/admin/keys/{_in_path(key_id)}/rotate"
    _show_secret(_asked(url, "POST", path, _until(valid_until)), as_json)


@app.command("revoke")
def revoke(key_id: KeyId, url: Url = None) -> None:
    """End a key at once, and every stream that it opened."""
    _asked(url, "DELETE", f"/admin/keys/{_in_path(key_id)}")
    tell(f"{key_id} lets nobody in any more")


def _until(moment: datetime | None) -> dict[str, str]:
    return {} if moment is None else {"valid_until": moment.isoformat()}


def _in_path(key_id: str) -> str:
    return quote(key_id, safe="")


def _show_secret(key: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print(json.dumps({"key_id": key["key_id"], "secret_key": key["secret_key"]}))
    else:
        tell(f"key {key['key_id']}\nsecret {key['secret_key']} (shown this once)")


def _asked(url: str | None, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
    """What a gateway answers; a refusal is said and ends with 1, no answer with 3."""
    settings = Settings.load()
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    address = (url or f"http://{host}:{settings.port}").rstrip("/")
    try:
        answer = httpx.request(
            method, address + path, headers=_credentials(settings), json=body,
            timeout=TIMEOUT_SECONDS,
        )  # fmt: skip
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        _end(Exit.STORE_UNAVAILABLE, f"no gateway answers at {address}: {error}")
    if answer.is_error:
        try:
            said = answer.json()
            told = f"{said['reason']}: {said['message']}"
        except (ValueError, KeyError, TypeError):
            told = f"the answer is {answer.status_code}"
        _end(Exit.CHECK_FAILED, told)
    return answer.json() if answer.content else None


def _credentials(settings: Settings) -> dict[str, str]:
    key_id, secret = os.environ.get(KEY_ID), os.environ.get(SECRET)
    if not (key_id and secret):
        if settings.admin_key is None:
            _end(Exit.USAGE, f"{KEY_ID} and {SECRET} say with which operator's key to ask")
        key_id, secret = ADMIN_KEY_ID, settings.admin_key.get_secret_value()
    return {"APCA-API-KEY-ID": key_id, "APCA-API-SECRET-KEY": secret}


def _end(code: Exit, told: str) -> NoReturn:
    warn(told)
    raise typer.Exit(code)
