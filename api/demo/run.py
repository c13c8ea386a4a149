"""Runs the demo: starts the venue, lets a market trade, checks the books, says what to try."""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import time
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from rich.console import Console

from api.cli.printing import Table
from api.demo.checks import nexus
from api.demo.clients import DemoFailed, Operator, Tally, Trader
from api.demo.fix_session import FixSession, serve_fix
from api.demo.market import CLIENTS, SYMBOLS, furnish, trade, wait_until_open
from api.demo.showcase import Shown, last_price, show
from api.processes.supervisor import Supervisor
from infrastructure.private_files import read_own, write_own
from infrastructure.settings import Settings
from infrastructure.unix_paths import check_way, make_directory

ROUNDS = 120
SEED = 20261120
LAG_SECONDS = 20.0
FORMAT = "3"
"""Grows when a demo venue's log or views cannot be gone on with: the next run starts anew."""


class Outcome:
    """What the run showed; `failed` says that a check did not hold."""

    def __init__(self) -> None:
        self.tally = Tally()
        self.shown: list[Shown] = []
        self.keys: list[tuple[str, str, str]] = []
        self.seconds = 0.0
        self.fix: FixSession | None = None
        self.trades = 0
        self.lag_ms = 0.0
        self.failed = False


def settings_for(port: int | None, *, reset: bool, console: Console) -> Settings:
    """The demo's settings: a store of its own beside the user's, and an operator's secret."""
    wanted = Settings.load()
    home = wanted.data_dir / "demo"
    if os.geteuid() == 0:
        check_way(home)
    written_as = home / "format"
    if reset and home.exists():
        console.print(f"Starting anew: removing the demo's data in {home}")
        shutil.rmtree(home)
    elif home.exists() and _read(written_as) != FORMAT:
        console.print(
            f"Starting anew: the demo venue in {home} was made by another version of this program,"
            " whose log this one does not go on with"
        )
        shutil.rmtree(home)
    secret_file = home / "operator-secret"
    if secret_file.exists():
        console.print(f"Going on with the demo venue in {home} (nexus demo --reset starts anew)")
    else:
        # As root the database runs as another user, who must be able to pass through here.
        make_directory(home, mode=0o755)
        write_own(written_as, FORMAT)
        write_own(secret_file, secrets.token_urlsafe(32) + "\n")
    secret = SecretStr(_read(secret_file).strip())
    # A session is agreed once there is an account for it.
    overrides: dict[str, Any] = {"data_dir": home, "admin_key": secret, "fix_config": None}
    if port is not None:
        overrides["port"] = port
    return Settings.load(**overrides)


def _read(path: Path) -> str:
    return read_own(path) or ""


async def play(venue: Supervisor, console: Console) -> Outcome:
    """Open accounts, trade, place the orders worth looking at, wait for the views."""
    outcome = Outcome()
    secret = venue.settings.admin_key
    assert secret is not None
    operator = Operator(venue.base_url, secret.get_secret_value())
    traders: dict[str, Trader] = {}
    try:
        traders = await furnish(operator, venue.base_url, outcome.tally)
        outcome.fix = await serve_fix(venue, traders[CLIENTS[0]].account_id)
        await wait_until_open(traders[CLIENTS[0]])
        participants = len(traders) - len(CLIENTS)
        console.print(
            f"Trading: {participants} participants on {', '.join(SYMBOLS)}, over HTTP and WebSocket"
        )
        begun = time.perf_counter()
        await trade(traders, SEED, ROUNDS)
        outcome.seconds = time.perf_counter() - begun
        alice, bob = (traders[name] for name in CLIENTS)
        mid = await last_price(alice)
        outcome.shown = await show(alice, bob, mid)
        begun = time.perf_counter()
        await bob.read(f"/v2/orders/{outcome.shown[-1].order_id}")
        outcome.lag_ms = (time.perf_counter() - begun) * 1e3
        await _wait_for_views(operator)
        outcome.trades = len(await _all_trades(operator))
        outcome.keys = [(name, traders[name].key_id, traders[name].secret) for name in CLIENTS]
    finally:
        await operator.close()
        await asyncio.gather(*(trader.close() for trader in traders.values()))
    return outcome


async def _all_trades(operator: Operator) -> list[Any]:
    page = await operator.get("/admin/trades?limit=10000")
    return page if isinstance(page, list) else list(page.values())


async def _wait_for_views(operator: Operator) -> None:
    deadline = time.perf_counter() + LAG_SECONDS
    while (lag := (await operator.get("/readyz"))["projection_lag"]) != 0:
        if time.perf_counter() > deadline:
            raise DemoFailed(f"the views are {lag} events behind and do not catch up")
        await asyncio.sleep(0.01)


def report(venue: Supervisor, outcome: Outcome, console: Console) -> None:
    """Print the figures, the checks, the keys and what to try next."""
    tally = outcome.tally
    times = sorted(tally.acknowledged)
    table = Table(title="What happened", show_header=False)
    table.add_row("orders", f"{tally.orders} in {outcome.seconds:.1f} s, {tally.cancels} cancels")
    table.add_row("trades", str(outcome.trades))
    table.add_row("trade updates on one stream", str(tally.updates))
    table.add_row("refused", ", ".join(f"{k} {v}" for k, v in tally.refused.items()) or "none")
    table.add_row(
        "acknowledged, durable",
        f"p50 {_ms(times, 0.5)} ms, p99 {_ms(times, 0.99)} ms as the clients saw it"
        " (clients and venue share this machine)",
    )
    table.add_row(
        "projection lag",
        f"{outcome.lag_ms:.1f} ms from an order's acknowledgement until it was read from its view",
    )
    ledger_code, ledger = nexus(venue, ("audit", "reconcile"))
    table.add_row("ledger", f"{_verdict(ledger_code)}: sum {ledger.get('total', '?')}")
    audit_code, audit = nexus(venue, ("audit", "verify"))
    table.add_row(
        "audit verify",
        f"{_verdict(audit_code)}: {audit.get('events', 0)} events,"
        f" {audit.get('checks_made', 0)} checks made,"
        f" {audit.get('violations_found', '?')} violations",
    )
    outcome.failed = bool(ledger_code or audit_code)
    console.print(table)
    shown = Table("order", "outcome", "id", title="Orders worth looking at")
    for row in outcome.shown:
        shown.add_row(*row)
    console.print(shown)
    keys = Table("account", "APCA-API-KEY-ID", "APCA-API-SECRET-KEY", title="Two accounts")
    for key in outcome.keys:
        keys.add_row(*key)
    console.print(keys)
    if outcome.fix is not None:
        fix = Table("", "", title="FIX 4.4, the account of alice", show_header=False)
        for name, value in outcome.fix.rows(venue.fix_port):
            fix.add_row(name, value)
        console.print(fix)


def _verdict(code: int) -> str:
    return "holds" if code == 0 else "DOES NOT HOLD"


def _ms(times: list[float], share: float) -> str:
    return f"{times[int(len(times) * share)] * 1e3:.1f}" if times else "-"


def suggestions(venue: Supervisor, outcome: Outcome) -> str:
    """What to try next; every line works as it is pasted."""
    _, key_id, secret = outcome.keys[0]
    url = venue.base_url
    return f"""What to try next

  API documentation   {url}/docs

  curl -s {url}/v2/orders \\
    -H 'APCA-API-KEY-ID: {key_id}' -H 'APCA-API-SECRET-KEY: {secret}' \\
    -H 'Content-Type: application/json' \\
    -d '{{"symbol":"ACME","side":"buy","qty":"10","type":"market","time_in_force":"ioc"}}'

  alpaca-py (.venv/bin/python has it):

from alpaca.trading.client import TradingClient
from alpaca.trading.requests import MarketOrderRequest
client = TradingClient("{key_id}", "{secret}", url_override="{url}")
order = client.submit_order(
    MarketOrderRequest(symbol="ACME", qty=5, side="buy", time_in_force="ioc"))
print(order.id, order.status, order.filled_avg_price)
"""
