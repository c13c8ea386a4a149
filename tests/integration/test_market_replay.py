"""A recorded day through the real writer and store: what it did is what was recorded."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import psycopg
import pytest

from api.cli.exit_codes import Exit
from application.audit.verify import Report, verify
from application.desk.state import state_hash
from application.log.ports import Recorded
from application.rehearsal.recorded_day.foresight import LookAhead
from application.rehearsal.recorded_day.judge import Score
from application.rehearsal.recorded_day.lobster import read_recording
from application.rehearsal.recorded_day.replay import MarketReplay, RecordedClock
from application.writer.loading import load_desk
from application.writer.sequencer import Sequencer
from domain.events import InstrumentHalted, InstrumentResumed, OrderCanceled, OrderReplaced
from infrastructure.database import EmbeddedServer
from infrastructure.log.audit_source import PostgresAuditSource, StoredCodec
from infrastructure.log.snapshots import PostgresSnapshots
from infrastructure.log.writing import PostgresEventLog
from tests.conftest import Schema
from tests.model.recorded_day import BUY, SELL, RecordedDay, save_archive, seeded_day

ROOT = Path(__file__).resolve().parent.parent.parent
AMZN = "LOBSTER_SampleFile_AMZN_2012-06-21_5.zip"
AAPL = "LOBSTER_SampleFile_AAPL_2012-06-21_1.zip"


class Replayed(NamedTuple):
    """What came of a replay."""

    score: Score
    report: Report
    events: list[Recorded]
    replays_to_live: bool


def replay(
    schema: Schema,
    path: Path,
    *,
    limit: int | None = None,
    look_ahead: LookAhead = LookAhead.UNANNOUNCED,
) -> Replayed:
    """Send an archive through a writer on this schema, and read what was committed."""
    recording = read_recording(path, limit)

    async def run() -> Replayed:
        log = PostgresEventLog(schema.dsn, schema.schema, 0)
        clock = RecordedClock(0)
        snapshots = PostgresSnapshots(schema.dsn, schema.schema)
        writer = Sequencer(log, snapshots, clock)
        writing = asyncio.create_task(writer.run())
        try:
            await writer.ready.wait()
            day = MarketReplay(recording, writer.submit, log, clock, look_ahead=look_ahead)
            score = await asyncio.wait_for(day.run(), 60)
            replayed, _ = await load_desk(log, snapshots, 0)
            same = state_hash(replayed) == state_hash(writer.desk)
            report = await asyncio.to_thread(audited, schema.dsn, schema.schema)
            return Replayed(score, report, list(await log.read(0, 100_000)), same)
        finally:
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)
            await log.close()

    return asyncio.run(run())


def audited(dsn: str, schema: str) -> Report:
    """What the second bookkeeper says of a log."""
    with PostgresAuditSource(dsn, schema) as source:
        return verify(source, StoredCodec())


def check_sound(replayed: Replayed) -> None:
    """The venue refused nothing, met nobody by accident, and its books add up."""
    assert replayed.score.refused == {}
    assert replayed.score.unplanned_fills == 0
    assert replayed.report.violations == ()
    assert replayed.report.events == len(replayed.events) > 0
    assert replayed.replays_to_live


@pytest.mark.parametrize("look_ahead", LookAhead)
def test_day_seen_whole_is_reproduced_whole(
    schema: Schema, tmp_path: Path, look_ahead: LookAhead
) -> None:
    """From an empty book, with every level told, nothing differs and nothing is repaired."""
    day = seeded_day(levels=200, steps=500, seed=11)

    replayed = replay(schema, day.save(tmp_path), look_ahead=look_ahead)

    score = replayed.score
    check_sound(replayed)
    assert score.messages == len(day.messages)
    assert score.executions == sum(",4," in line for line in day.messages) > 50
    assert score.executions_reproduced == score.executions == score.announced_executions
    assert score.touch_equal == score.touch_rows > 400
    assert score.hidden == sum(line.split(",")[1] == "5" for line in day.messages)
    assert (score.repairs, score.crossings) == ({}, 0)


def test_day_through_a_window_is_compared_before_it_is_repaired(
    schema: Schema, tmp_path: Path
) -> None:
    """Levels that enter untold cost touch rows, executions and repairs, and only some of them."""
    path = seeded_day(levels=2, steps=1_500, seed=5).save(tmp_path)

    replayed = replay(schema, path)

    score = replayed.score
    check_sound(replayed)
    assert score.repairs.total() > 0
    assert score.touch_rows * 0.9 < score.touch_equal < score.touch_rows
    assert score.executions * 0.75 < score.executions_reproduced < score.executions


def test_every_kind_of_message_reaches_the_venue(schema: Schema, tmp_path: Path) -> None:
    """New, reduced, deleted, executed, executed hidden, halted and resumed, on the file's clock."""
    day = RecordedDay(levels=3)
    first = day.submit(BUY, 10_000, 30)
    day.submit(BUY, 10_000, 20)
    day.reduce(first, 10)
    day.submit(SELL, 10_010, 20)
    day.execute(BUY, 35)
    day.execute_hidden(SELL, 1_000_050, 5)
    day.halt(-1)
    day.halt(1)
    day.delete(day.queue(SELL)[0])

    replayed = replay(schema, day.save(tmp_path))

    score = replayed.score
    check_sound(replayed)
    assert (score.executions, score.executions_reproduced, score.hidden) == (2, 2, 1)
    assert score.touch_equal == score.touch_rows == 9
    assert score.repairs == {}
    kinds = [type(event) for _, event in replayed.events]
    assert [kinds.count(k) for k in (OrderReplaced, InstrumentHalted, InstrumentResumed)] == [1] * 3
    assert kinds.count(OrderCanceled) == 1
    replaced = next(event for _, event in replayed.events if isinstance(event, OrderReplaced))
    assert replaced.kept_priority
    assert replaced.at == read_recording(tmp_path / "recorded.zip").instant(34_200_003_000_000)


def test_execution_of_another_order_than_ours_is_not_counted(
    schema: Schema, tmp_path: Path
) -> None:
    """The score is the venue's, not the file's: a market that skips its queue is not reproduced."""
    day = RecordedDay(levels=3)
    first, second = day.submit(SELL, 10_010, 10), day.submit(SELL, 10_010, 10)
    day.execute(SELL, 10)
    day.delete(second)
    skipped = [
        line.replace(f",4,{first},", f",4,{second},").replace(f",3,{second},", f",3,{first},")
        for line in day.messages
    ]

    replayed = replay(schema, save_archive(tmp_path, 3, skipped, day.rows))

    score = replayed.score
    check_sound(replayed)
    assert (score.executions, score.executions_reproduced) == (1, 0)
    assert score.touch_equal == score.touch_rows
    assert score.repairs.keys() == {"level_differs"}


@pytest.mark.parametrize(
    ("name", "messages", "executions", "touch"),
    [(AMZN, 5_000, 0.97, 0.995), (AAPL, 4_000, 0.9, 0.8)],
)
def test_excerpt_of_a_real_day_is_reproduced(
    schema: Schema, market_data_dir: Path, name: str, messages: int, executions: float, touch: float
) -> None:
    """Real order flow: most executions meet the same orders, and the touch is the recorded one."""
    replayed = replay(schema, market_data_dir / name, limit=messages)

    score = replayed.score
    check_sound(replayed)
    assert score.messages == messages
    assert score.executions > 300
    assert score.executions_reproduced >= executions * score.executions
    assert score.touch_equal >= touch * score.touch_rows


Nexus = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def nexus_process(postgres: EmbeddedServer) -> Callable[..., subprocess.Popen[str]]:
    """Starts `nexus replay-market` on the tests' server."""
    path = os.pathsep.join([str(ROOT), *sys.path])

    def start(*arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-W", "error", "-m", "api.cli.main", "replay-market", *arguments],
            env={**os.environ, "PYTHONPATH": path, "NEXUS_DATABASE_URL": postgres.dsn()},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start


@pytest.fixture
def nexus(nexus_process: Callable[..., subprocess.Popen[str]]) -> Nexus:
    """Runs `nexus replay-market` to its end."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        with nexus_process(*arguments) as process:
            stdout, stderr = process.communicate(timeout=60)
        return subprocess.CompletedProcess(arguments, process.returncode, stdout, stderr)

    return run


def test_command_prints_one_line_and_replaces_only_its_own_schema(
    nexus: Nexus, postgres: EmbeddedServer, tmp_path: Path
) -> None:
    """Figures for machines; a second run drops the first, and nothing else is ever dropped."""
    path = str(seeded_day(levels=50, steps=120, seed=2).save(tmp_path))
    schema = f"test_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgres.dsn(), autocommit=True) as conn:
        conn.execute(f"CREATE SCHEMA {schema}_other")

    first = nexus(path, "--schema", schema, "--json")
    kept = nexus(path, "--schema", schema, "--json", "--keep")
    again = nexus(path, "--schema", schema, "--json", "--speed", "1000")
    other = nexus(path, "--schema", f"{schema}_other", "--json")

    assert first.returncode == Exit.OK, first.stderr
    facts = json.loads(first.stdout)
    assert facts["executions_reproduced_pct"] == facts["touch_equal_pct"] == 100.0
    assert facts["audit"]["ok"] and facts["audit"]["replay_equals_live"]
    assert facts["repairs"] == {}
    assert (kept.returncode, other.returncode) == (Exit.USAGE, Exit.USAGE)
    assert again.returncode == Exit.OK, again.stderr
    assert f"dropping schema {schema} " in again.stderr
    assert json.loads(again.stdout)["audit"]["state_hash"] == facts["audit"]["state_hash"]


def test_interrupt_leaves_a_schema_that_adds_up(
    nexus_process: Callable[..., subprocess.Popen[str]], postgres: EmbeddedServer, tmp_path: Path
) -> None:
    """Ctrl-C in the middle of a day: what was committed stands whole."""
    path = str(seeded_day(levels=50, steps=400, seed=2).save(tmp_path))
    schema = f"test_{uuid.uuid4().hex[:12]}"

    running = nexus_process(path, "--schema", schema, "--speed", "0.01")
    wait_for_events(postgres.dsn(), schema, 60)
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=30)

    assert running.returncode == 130, said
    assert f"schema {schema} holds what was sent" in said
    assert "Traceback" not in said
    report = audited(postgres.dsn(), schema)
    assert report.violations == ()
    assert report.events >= 60


def wait_for_events(dsn: str, schema: str, count: int) -> None:
    """Return when so many events are committed; fails after half a minute."""
    deadline = time.monotonic() + 30
    with psycopg.connect(dsn, autocommit=True) as conn:
        while time.monotonic() < deadline:
            with suppress(psycopg.errors.UndefinedTable):
                row = conn.execute(f"SELECT count(*) FROM {schema}.stored_events").fetchone()
                if row is not None and row[0] >= count:
                    return
            time.sleep(0.05)
    pytest.fail(f"fewer than {count} events after 30 s")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["{bad}"], "message_1.csv, line 1: 'noon' is no time"),
        (["{bad}x"], "No such file"),
        (["{good}", "--speed", "0"], "--speed 0: is not a positive number"),
        (["{good}", "--schema", "partition_0"], "is the venue's own schema"),
    ],
)
def test_wrong_use_ends_with_2_and_says_what_is_wrong(
    nexus: Nexus, tmp_path: Path, arguments: list[str], says: str
) -> None:
    """No traceback, and no schema is touched."""
    (tmp_path / "bad").mkdir()
    row = "9999999999,0,1000000,10"
    bad = save_archive(tmp_path / "bad", 1, ["noon,1,7,10,1000000,1"], [row])
    good = save_archive(tmp_path, 1, ["34200.1,1,7,10,1000000,1"], [row])

    said = nexus(*[argument.format(bad=bad, good=good) for argument in arguments])

    assert said.returncode == Exit.USAGE
    assert says in said.stderr
    assert "Traceback" not in said.stderr
