"""`nexus report` on a real store: what it adds up, how it is narrowed, and what it refuses."""

import json
import subprocess
from collections import Counter
from typing import Any

import pytest

from api.cli.exit_codes import Exit
from api.cli.report_asking import Days
from api.cli.report_log import add_up
from domain.events import DomainEvent
from domain.identifiers import datetime_of
from domain.money import QTY_UNIT
from infrastructure.log import aggregates
from infrastructure.log.codec import typed_columns
from infrastructure.log.reader import LogReader
from tests.conftest import Schema
from tests.model.event_rows import append_events
from tests.model.event_streams import EventStream
from tests.model.projecting import nexus, project

DAY = 86_400_000_000
FIRST, SECOND = "2025-11-20", "2025-11-21"


@pytest.fixture
def stream(schema: Schema) -> EventStream:
    """Two days of a market, stored and projected; what was traded on the first is undone later."""
    made = EventStream().some_market(accounts=2, instruments=2)
    for price in (1_000_000, 1_020_000, 1_010_000):
        trade_at(made, price)
    made.at += DAY
    trade_at(made, 1_050_000)
    busted, corrected = made.trades[:2]
    made.correct(corrected, 1_030_000)
    made.bust(busted)
    made.some_commands(150)
    append_events(schema.dsn, schema.schema, made.events)
    project(schema)
    return made


def trade_at(stream: EventStream, price: int) -> None:
    """Ten shares of the first instrument change hands."""
    buyer, seller = stream.accounts
    instrument = stream.instruments[0]
    buy = stream.place(buyer, instrument, 1, 10 * QTY_UNIT, price)
    sell = stream.place(seller, instrument, 2, 10 * QTY_UNIT, price)
    stream.trade(buy, sell, 10 * QTY_UNIT, aggressor=1)


def said(schema: Schema, *arguments: str) -> subprocess.CompletedProcess[str]:
    """What a report says."""
    process = nexus(schema, "report", *arguments)
    out, errors = process.communicate(timeout=60)
    return subprocess.CompletedProcess(arguments, process.returncode, out, errors)


def document(schema: Schema, *arguments: str) -> dict[str, Any]:
    """A report for machines."""
    answer = said(schema, *arguments, "--json")
    assert Exit.OK == answer.returncode, answer.stderr
    (line,) = answer.stdout.splitlines()
    return json.loads(line)


def expected_counts(stream: EventStream) -> Counter[tuple[str, str | None, str]]:
    """The stream's events by day, symbol and topic."""
    symbols = {i.id: i.symbol for i in stream.instruments}

    def of(event: DomainEvent) -> tuple[str, str | None, str]:
        instrument_id = typed_columns(event).instrument_id
        symbol = symbols.get(instrument_id) if instrument_id else None
        return datetime_of(event.at).date().isoformat(), symbol, event.TOPIC

    return Counter(map(of, stream.events))


def counts_in(found: dict[str, Any]) -> Counter[tuple[str, str | None, str]]:
    """The counts of a report."""
    return Counter(
        {(line["day"], line["symbol"], line["topic"]): line["events"] for line in found["counts"]}
    )


def test_report_of_events_counts_every_event_of_every_topic_once(schema, stream):
    """By day, symbol and topic the counts are those of the log, whatever the topic."""
    found = document(schema, "events")

    assert expected_counts(stream) == counts_in(found)
    assert len(stream.events) == found["position"] == sum(x["events"] for x in found["counts"])
    assert {FIRST, SECOND} == {line["day"] for line in found["counts"]}


def test_report_of_events_is_narrowed_by_day_and_symbol(schema, stream):
    """Both days are included, and a symbol leaves out what concerns no instrument."""
    whole = expected_counts(stream)
    second = document(schema, "events", "--from", SECOND)
    first = document(schema, "events", "--from", FIRST, "--to", FIRST)
    of_one = document(schema, "events", "--symbol", "SYM0")

    assert {k: n for k, n in whole.items() if k[0] == SECOND} == counts_in(second)
    assert {k: n for k, n in whole.items() if k[0] == FIRST} == counts_in(first)
    assert {k: n for k, n in whole.items() if k[1] == "SYM0"} == counts_in(of_one)
    assert [] == document(schema, "events", "--to", "2025-11-19")["counts"]
    assert [] == document(schema, "events", "--from", "2025-11-22")["counts"]


def test_report_of_events_is_the_same_in_parts(schema, stream, monkeypatch):
    """A long log is counted a part at a time, and no event is lost or counted twice between."""
    monkeypatch.setattr(aggregates, "PAGE", 7)
    with LogReader(schema.dsn, schema.schema) as log:
        counts = add_up(log, aggregates.EVENTS, Days.between(None, None), None, show=False)

    assert expected_counts(stream).total() == sum(count for (count,) in counts.values())


def test_report_of_volume_takes_off_what_was_undone(schema, stream):
    """A bust on the next day leaves the day of the trade, and a correction counts at its price."""
    first, second, *_ = document(schema, "volume", "--symbol", "SYM0")["days"]

    assert (FIRST, "SYM0", 2, "20.00000000", "2040.00", "102.000000") == (
        first["day"], first["symbol"], first["trades"], first["volume"], first["notional"],
        first["vwap"],
    )  # fmt: skip
    assert ("100.0000", "102.0000", "100.0000", "101.0000") == (
        first["open"], first["high"], first["low"], first["close"],
    )  # fmt: skip
    assert (SECOND, "105.0000") == (second["day"], second["open"])


def test_report_of_trades_adds_the_log_up_as_the_view_does(schema, stream):
    """Trades and shares of every day are those of `volume`, in the log and in no view."""
    volume = document(schema, "volume")["days"]
    trades = document(schema, "trades")["days"]

    assert [(x["day"], x["symbol"], x["trades"], x["volume"]) for x in volume if x["trades"]] == [
        (x["day"], x["symbol"], x["trades"], x["volume"]) for x in trades
    ]
    first = document(schema, "trades", "--symbol", "SYM0", "--to", FIRST)["days"]
    assert [{**first[0], "notional": "2040.00"}] == first
    assert (
        "2 trades, 2040.00 dollars"
        in said(schema, "trades", "--symbol", "SYM0", "--to", FIRST).stdout
    )


def test_report_of_kinds_counts_every_event_once(schema, stream):
    """By the kind of aggregate whose event it is."""
    found = document(schema, "kinds", "--from", SECOND)["counts"]
    expected = Counter(
        event.AGGREGATE
        for event in stream.events
        if SECOND == datetime_of(event.at).date().isoformat()
    )
    assert expected == {line["kind"]: line["events"] for line in found}
    assert f"{expected.total():,} events" in said(schema, "kinds", "--from", SECOND).stdout


def test_report_of_volume_is_narrowed_by_day(schema, stream):
    """Both days are included."""
    days = [document(schema, "volume", *a)["days"] for a in (("--to", FIRST), ("--from", SECOND))]
    assert [{FIRST}, {SECOND}] == [{day["day"] for day in found} for found in days]


def test_reports_for_people_have_totals_and_whole_amounts(schema, stream):
    """A table with a line a day, and below it what it comes to."""
    volume = said(schema, "volume", "--symbol", "SYM0", "--to", FIRST)
    events = said(schema, "events", "--to", FIRST)

    assert "2 trades, 2040.00 dollars, as of position" in volume.stdout
    assert "102.000000" in volume.stdout and FIRST in volume.stdout
    first = sum(n for key, n in expected_counts(stream).items() if key[0] == FIRST)
    assert f"{first:,} events, as of position {len(stream.events):,}" in events.stdout


@pytest.mark.parametrize("kind", ["volume", "events"])
@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (("--from", "20th"), ("--from", "20th", "%Y-%m-%d")),
        (("--to", "2025-02-30"), ("--to", "2025-02-30")),
        (("--from", SECOND, "--to", FIRST), ("--from", SECOND, FIRST)),
        (("--symbol", "NONE"), ("--symbol", "NONE", "SYM0, SYM1")),
    ],
)
def test_report_names_what_is_wrong_with_a_question(schema, stream, kind, arguments, names):
    """A bad day, days the wrong way round and an unknown symbol end with 2 and are named."""
    answer = said(schema, kind, *arguments)

    assert Exit.USAGE == answer.returncode
    plain = " ".join(answer.stderr.replace("│", " ").split())
    assert all(name in plain for name in names), plain


def test_report_says_that_views_are_not_made_or_are_behind(schema):
    """Before a projector ran there is nothing to ask; when it is behind the report says so."""
    stream = EventStream().some_market(accounts=2, instruments=2)
    append_events(schema.dsn, schema.schema, stream.events)
    early = said(schema, "volume")
    assert Exit.MIGRATION == early.returncode and "nexus projections run" in early.stderr

    project(schema)
    begin = len(stream.events)
    trade_at(stream, 1_000_000)
    append_events(schema.dsn, schema.schema, stream.events[begin:])
    behind = said(schema, "volume", "--json")
    assert begin == json.loads(behind.stdout)["position"]
    assert f"{len(stream.events) - begin:,} behind" in behind.stderr


def test_report_asks_for_a_migration_where_there_are_no_tables(schema):
    """On a schema that was never made the exit code is 4, and the message says what to run."""
    answer = said(Schema(schema.dsn, "never_made"), "events")
    assert Exit.MIGRATION == answer.returncode and "nexus db migrate" in answer.stderr
