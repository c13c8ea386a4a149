"""Orders over FIX, committed before they are reported: beside the bus, HTTP and other engines.

All in one run, by turns: the codec beside simplefix, one session on a real venue beside the
venue's own rate through the bus, a hundred sessions, orders that the gateway refuses by itself,
one order at a time, and what a session that floods does to another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import uvloop

from bench import fix_codec, fix_quickfix
from bench.fix_sink import sink_process
from bench.fix_venue import FixSide, fix_process, names_of
from bench.flow import MIX
from bench.http import PROCESSOR as EACH_REQUEST
from bench.http import Requests, Side, gateway_process, keys_of
from bench.processor import Meter
from bench.rates import MeasuredVenue
from bench.report import Progress, goal, machine, say
from bench.saturated import PROCESSOR
from bench.submit import views_behind
from bench.turns import median_of
from bench.venue import environment_of, furnished, server, short_home, venue_processes

_SCHEMA = "bench_fix"
BUS = "through the bus, saturated"
ONE = "one session, saturated"
AT_RATE = "one session at 1000/s"
MANY = "100 sessions, orders only, saturated"
PING = "ping-pong"
REFUSED = "refused by the gateway alone, saturated"
ORDERS = "one session, orders only, saturated"
HTTP = "HTTP, orders only, saturated"
QUICKFIX = "quickfix's acceptor with its file store, no venue"
UNDISTURBED = "at 200/s while a sink is flooded"
DISTURBED = "at 200/s while the gateway is flooded"

COMPILED_TIMES = 40
INTERPRETED_TIMES = 8
BESIDE_BUS = 0.7
BUS_OF_FAST_MACHINE = 15_000
ON_FAST_MACHINE = 10_000
SESSION_LAYER = 10_000
FLOODED_TIMES = 3
_FLOOD_PER_S = 4_000
_MANY = 100
_BESIDE = 200


class Size(NamedTuple):
    """How much is measured."""

    turns: int = 3
    seconds: float = 4
    """Of each part of each turn."""


FULL = Size()
QUICK = {"size": Size(turns=1, seconds=0.8)}


def run(*, size: Size = FULL, seed: int = 7, say: Progress = say) -> dict[str, Any]:
    """Measure in a venue of its own: store, writer, projector, both gateways and drivers."""
    about = machine()
    say("codec beside simplefix")
    codecs = {
        f"parse and encode, {name}": found
        for name in (fix_codec.COMPILED, fix_codec.INTERPRETED)
        if (found := fix_codec.beside_simplefix(name)) is not None
    }
    with ExitStack() as stack:
        store = stack.enter_context(server())
        venue = _Venue(stack, store.dsn(), store.pid, size, say)
        runs = [venue.turn(turn, seed + 100 * turn) for turn in range(size.turns)]
    figures: dict[str, Any] = codecs | median_of(runs)
    return {
        "figures": figures,
        "machine": about,
        "mix": MIX + "; 20 accounts, 10 instruments; HTTP and its like: the orders of it alone",
        "turns": f"the median of {size.turns}",
        "left_out": "TLS and a network; a standby. Gateways, writer, projector, PostgreSQL and the"
        " drivers share the cores" + _not_here(len(codecs)),
        "goals": goals(figures),
    }


def _not_here(codecs: int) -> str:
    """What would be measured too, were it installed."""
    missing = [
        name
        for name, here in (
            ("simplefix or a compiler", codecs == 2),
            ("quickfix", fix_quickfix.installed()),
        )
        if not here
    ]
    return f"; not here: {', '.join(missing)}" if missing else ""


class _Venue:
    """What is measured by turns. Every run has sessions of its own, whose numbers begin at 1."""

    def __init__(
        self, stack: ExitStack, dsn: str, postmaster: int | None, size: Size, say: Progress
    ) -> None:
        assert postmaster is not None
        self._size = size
        self._say = say
        home = stack.enter_context(short_home())
        self._home: Path = home
        environment = environment_of(dsn, _SCHEMA, home)
        processes = stack.enter_context(venue_processes(dsn, _SCHEMA, home))
        floor = uvloop.run(furnished(processes.bus))
        names = names_of(size.turns * (_MANY + 12))
        self._names: Iterator[str] = iter(names)
        port, fix = stack.enter_context(fix_process(environment, home, floor, names))
        address, secret, gateway = stack.enter_context(gateway_process(environment, 1))
        pids = {"fix": fix.pid, "gateway": gateway, **processes.pids}
        meter = stack.enter_context(Meter(dsn, postmaster, pids))
        lag = partial(views_behind, dsn, _SCHEMA)
        self._sink = stack.enter_context(sink_process())
        self._fix = FixSide(port, floor, meter, lag)
        self._bus = MeasuredVenue(dsn, processes, floor, meter, lag)
        self._http = Side(address, meter, lag)
        self._requests = Requests(floor, keys_of(address, secret, len(floor.accounts)))
        self._fix.load(self._sessions(), rate=500, seconds=min(1, size.seconds), seed=1)

    def _sessions(self, count: int = 1) -> list[str]:
        return list(islice(self._names, count))

    def turn(self, turn: int, seed: int) -> dict[str, Any]:
        """Everything once, one after the other."""
        seconds = self._size.seconds
        load = partial(self._fix.load, seconds=seconds)
        parts: dict[str, Callable[[int], dict[str, Any]]] = {
            BUS: lambda own: self._bus.at_rate(0, seconds, own),
            ONE: lambda own: load(self._sessions(), seed=own),
            AT_RATE: lambda own: load(self._sessions(), rate=1_000, seed=own),
            MANY: lambda own: load(self._sessions(_MANY), kind="orders", seed=own),
            PING: lambda own: load(self._sessions(), seed=own, under_way=1),
            REFUSED: lambda own: load(self._sessions(), kind="refused", seed=own),
            ORDERS: lambda own: load(self._sessions(), kind="orders", seed=own),
            HTTP: lambda own: self._http.at_rate(self._requests, 0, seconds, own),
            UNDISTURBED: lambda own: self._beside_flood(own, self._sink),
            DISTURBED: lambda own: self._beside_flood(own, 0),
        }
        if fix_quickfix.installed():
            parts[QUICKFIX] = self._quickfix
        figures = {}
        for number, (name, part) in enumerate(parts.items()):
            self._say(f"{name}: turn {turn + 1} of {self._size.turns}")
            figures[name] = part(seed + number)
        return figures

    def _beside_flood(self, seed: int, sink: int) -> dict[str, Any]:
        """One session at a rate while another floods the gateway, or a sink at the same pace."""
        with self._fix.flood(self._sessions()[0], _FLOOD_PER_S, sink=sink) as flood:
            session = self._sessions()
            figures = self._fix.load(
                session, rate=_BESIDE, seconds=self._size.seconds, seed=seed, busy=True
            )
            return figures | flood.go()

    def _quickfix(self, seed: int) -> dict[str, Any]:
        names = self._sessions()
        with short_home() as home, fix_quickfix.quickfix_process(home, names) as port:
            theirs = self._fix._replace(port=port)
            figures = theirs.load(names, kind="orders", seconds=self._size.seconds, seed=seed)
        figures.pop(PROCESSOR)
        return figures


def goals(figures: dict[str, Any]) -> list[dict[str, Any]]:
    """Judge the ratios of this run."""
    judged = [
        goal(name, figures[f"parse and encode, {form}"]["both_times"], times)
        for name, form, times in (
            ("parse and encode compiled, times simplefix", fix_codec.COMPILED, COMPILED_TIMES),
            (
                "parse and encode interpreted, times simplefix",
                fix_codec.INTERPRETED,
                INTERPRETED_TIMES,
            ),
        )
        if f"parse and encode, {form}" in figures
    ]
    bus, one = figures[BUS]["answered_per_s"], figures[ONE]["answered_per_s"]
    judged.append(goal("one session, of the bus's rate", round(one / bus, 2), BESIDE_BUS))
    if bus >= BUS_OF_FAST_MACHINE:
        judged.append(goal("one session, orders/s", one, ON_FAST_MACHINE))
    judged += [
        goal(
            "the gateway's processor an order, times the HTTP gateway's",
            round(figures[ORDERS][PROCESSOR]["fix"] / figures[HTTP][EACH_REQUEST]["gateway"], 2),
            1,
            at_most=True,
        ),
        goal(
            "refused by the gateway, messages/s", figures[REFUSED]["answered_per_s"], SESSION_LAYER
        ),
        goal(
            "p99 beside a flood of the gateway, times beside that of a sink",
            round(figures[DISTURBED]["p99_ms"] / figures[UNDISTURBED]["p99_ms"], 1),
            FLOODED_TIMES,
            at_most=True,
        ),
    ]
    return judged
