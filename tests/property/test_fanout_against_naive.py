"""The ring and its naive twin, a list and some sets, agree whatever is done to them."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from projections.market_data.fanout import Fanout
from projections.market_data.records import LOG, Record

RECORDS, INSTRUMENTS, SUBSCRIBERS = 16, 3, 130
KINDS = range(6)


class NaiveFeed:
    """Everything that was ever published, and who wants what."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.wants: dict[int, set[tuple[int, int]]] = {}
        self.pending: set[int] = set()

    def publish_all(self, records: list[Record]) -> None:
        """Keep records for ever."""
        for record in records:
            row = record.instrument, record.kind
            ordinal = 1 + sum((one.instrument, one.kind) == row for one in self.records)
            self.records.append(record._replace(number=len(self.records), ordinal=ordinal))
            self.pending |= {slot for slot, rows in self.wants.items() if row in rows}

    def readable(self) -> list[Record]:
        """What has not been overwritten."""
        return self.records[-RECORDS:]

    def read(self, slot: int, cursor: int, limit: int) -> tuple[list[Record], int, int]:
        """What a subscriber wants, by whole commands once it has what it asked for."""
        ahead = [one for one in self.readable() if one.number >= cursor]
        wanted = [one for one in ahead if (one.instrument, one.kind) in self.wants[slot]]
        found = wanted[:limit]
        for one in wanted[limit:]:
            last = found[-1]
            if one.source != LOG or last.source != LOG or one.position != last.position:
                break
            found.append(one)
        rest = wanted[len(found) :]
        end = rest[0].number if rest else len(self.records)
        passed = [one.position for one in ahead if one.number < end and one.source == LOG]
        if rest and rest[0].source == LOG:
            passed = [position for position in passed if position != rest[0].position]
        return found, end, max(passed, default=0)

    def lost_position(self) -> int:
        """The highest position of the log that was overwritten."""
        lost = self.records[:-RECORDS]
        return max((one.position for one in lost if one.source == LOG), default=0)


def play(draw: random.Random, steps: int) -> None:
    """Do the same to both, and compare all there is to ask."""
    fanout = Fanout(records=RECORDS, instruments=INSTRUMENTS, subscribers=SUBSCRIBERS)
    naive, position = NaiveFeed(), 0
    for _ in range(steps):
        choice = draw.random()
        slots = list(naive.wants)
        if choice < 0.25 and len(slots) < SUBSCRIBERS:
            slot = fanout.open()
            assert slot not in naive.wants
            naive.wants[slot] = set()
        elif choice < 0.3 and slots:
            slot = draw.choice(slots)
            fanout.close(slot)
            del naive.wants[slot]
            naive.pending.discard(slot)
        elif choice < 0.55 and slots:
            slot, row = draw.choice(slots), (draw.randrange(INSTRUMENTS), draw.choice(KINDS))
            if draw.random() < 0.8:
                expected = sum((one.instrument, one.kind) == row for one in naive.records) + 1
                assert expected == fanout.subscribe(slot, *row)
                naive.wants[slot].add(row)
            else:
                fanout.unsubscribe(slot, *row)
                naive.wants[slot].discard(row)
        elif choice < 0.8:
            source = draw.choice((LOG, LOG, LOG, 2))
            position += draw.randint(1, 3) if source == LOG else 0
            batch = [
                Record(
                    source, draw.randrange(INSTRUMENTS), draw.choice(KINDS), draw.randint(0, 2),
                    draw.getrandbits(62), draw.getrandbits(50), position if source == LOG else 0,
                    draw.randint(-(2**63), 2**63 - 1),
                )
                for _ in range(draw.choice((1, 1, 2, 5, 20)))
            ]  # fmt: skip
            if len(batch) == 1:
                fanout.publish(batch[0])
            else:
                fanout.publish_all(batch)
            naive.publish_all(batch)
        elif choice < 0.9 and slots:
            slot = draw.choice(slots)
            cursor = draw.randint(0, len(naive.records))
            limit = draw.randint(1, 6)
            assert naive.read(slot, cursor, limit) == fanout.read(slot, cursor, limit)
        else:
            taken = fanout.take_ready(draw.choice((1, 64, 1_000)))
            assert len(set(taken)) == len(taken)
            assert set(taken) <= naive.pending
            assert taken or not naive.pending
            naive.pending -= set(taken)
        compare(fanout, naive)


def compare(fanout: Fanout, naive: NaiveFeed) -> None:
    """Everything that can be asked at one moment."""
    assert (len(naive.records), naive.lost_position()) == (fanout.head, fanout.lost_position)
    assert len(naive.records) - len(naive.readable()) == fanout.tail
    assert naive.pending == {slot for slot in naive.wants if fanout.is_pending(slot)}
    for instrument in range(INSTRUMENTS):
        for kind in KINDS:
            of_row = [o for o in naive.records if (o.instrument, o.kind) == (instrument, kind)]
            assert len(of_row) == fanout.count(instrument, kind)
            assert (of_row[-1] if of_row else None) == fanout.latest(instrument, kind)
            readable = [one for one in of_row if one.number >= fanout.tail]
            for above in {0, len(of_row) // 2, len(of_row)}:
                later = [one for one in readable if one.ordinal > above]
                for limit in (1, 3, 99):
                    assert later[:limit] == fanout.since(instrument, kind, above, limit)


@hypothesis_settings(max_examples=25)
@given(st.randoms(use_true_random=False))
def test_fanout_and_its_naive_twin_agree(draw):
    """After every step of a short life."""
    play(draw, 40)


@pytest.mark.parametrize("seed", range(3))
def test_fanout_and_its_naive_twin_agree_for_long(seed):
    """A ring that is overwritten many times, and slots that have many owners."""
    play(random.Random(seed), 400)
