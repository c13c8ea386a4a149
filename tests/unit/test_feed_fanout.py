"""The ring of the feed: what is readable, who is told, and what it costs in memory."""

from __future__ import annotations

import pytest

from projections.market_data.fanout import Fanout
from projections.market_data.records import (
    LOG,
    Kind,
    Record,
    halves,
    id_of,
    id_words,
    whole,
)
from tests.model.desk_harness import NOON

LEVEL, TRADE, QUOTE, REFERENCE = map(int, (Kind.LEVEL, Kind.TRADE, Kind.QUOTE, Kind.REFERENCE))
OUTSIDE = 3


def told(
    position: int, instrument: int = 0, kind: int = QUOTE, *, source: int = LOG, price: int = 7
) -> Record:
    """A record of a command that ends at a position."""
    return Record(source, instrument, kind, 0, position, NOON, position, price)


def small(**sizes: int) -> Fanout:
    """A ring of sixteen records."""
    return Fanout(**{"records": 16, "instruments": 4, "subscribers": 200, **sizes})


def reader(fanout: Fanout, *rows: tuple[int, int]) -> int:
    """A subscriber of some instruments and kinds."""
    slot = fanout.open()
    for instrument, kind in rows:
        fanout.subscribe(slot, instrument, kind)
    return slot


def positions(fanout: Fanout, slot: int, cursor: int = 0, limit: int = 99) -> list[int]:
    """Where the records stand that a subscriber can read."""
    return [record.position for record in fanout.read(slot, cursor, limit).records]


def test_fanout_gives_back_every_word_of_a_record():
    """The largest and the smallest integers of 64 bits come out as they went in."""
    fanout = small()
    slot = reader(fanout, (3, REFERENCE))
    most, least = 2**63 - 1, -(2**63)
    words = Record(most, 3, REFERENCE, least, most, most, least, most, least, most, 0, -1, least)

    fanout.publish(words)

    assert [words._replace(number=0, ordinal=1)] == fanout.read(slot, 0, 1).records
    assert words._replace(number=0, ordinal=1) == fanout.latest(3, REFERENCE)


def test_fanout_notifies_every_interested_subscriber_and_nobody_else():
    """Its pending bit is set and the record is readable through its cursor, for each of them."""
    fanout = small()
    of_quotes = [reader(fanout, (1, QUOTE)) for _ in range(130)]
    others = [reader(fanout, (1, TRADE), (2, QUOTE)) for _ in range(60)]

    fanout.publish(told(5, 1, QUOTE))

    assert all(fanout.is_pending(slot) for slot in of_quotes)
    assert all([5] == positions(fanout, slot) for slot in of_quotes)
    assert not any(fanout.is_pending(slot) for slot in others)
    assert not any(positions(fanout, slot) for slot in others)


def test_fanout_tells_the_ready_in_turns_and_clears_their_bits():
    """No subscriber is left out because others are always ready."""
    fanout = small()
    slots = [reader(fanout, (0, QUOTE)) for _ in range(200)]
    fanout.publish(told(1))

    first = fanout.take_ready(64)
    fanout.publish(told(2))
    second = fanout.take_ready(64)
    third = fanout.take_ready(64)

    assert 64 <= len(first) < 128
    assert set() == {*first} & {*second} == {*second} & {*third}
    assert {*first, *second, *third, *fanout.take_ready(8)} == {*slots}
    assert all(fanout.is_pending(slot) for slot in first)


def test_fanout_wakes_once_until_it_is_armed_again():
    """A thousand records wake once; what comes before the bits are looked at is not lost."""
    fanout = small()
    slot = reader(fanout, (0, QUOTE))
    woken: list[int] = []
    fanout.wake_by(lambda: woken.append(1))

    fanout.publish(told(1, 1))
    assert [] == woken
    for position in range(2, 1_000):
        fanout.publish(told(position))
    assert [1] == woken

    assert not fanout.rearm()
    assert [slot] == fanout.take_ready(1)
    assert fanout.rearm()
    fanout.publish(told(1_000))
    assert [1, 1] == woken


def test_fanout_wakes_at_once_for_what_is_pending_already():
    """Who begins to listen late hears of what was there."""
    fanout = small()
    reader(fanout, (0, QUOTE))
    fanout.publish(told(1))
    woken: list[int] = []

    fanout.wake_by(lambda: woken.append(1))

    assert [1] == woken


def test_fanout_keeps_the_newest_records_and_says_what_is_lost():
    """What was overwritten is passed over; its highest position of the log is known."""
    fanout = small()
    slot = reader(fanout, (0, QUOTE))

    for position in range(1, 17):
        fanout.publish(told(position))
    assert (0, 0) == (fanout.tail, fanout.lost_position)
    for position in range(17, 41):
        fanout.publish(told(position))

    assert (24, 24) == (fanout.tail, fanout.lost_position)
    assert list(range(25, 41)) == positions(fanout, slot)


def test_fanout_counts_nothing_from_outside_as_lost_of_the_log():
    """A source that is in no log has no place there, whatever its records say."""
    fanout = small()
    for position in range(1, 40):
        fanout.publish(told(10**6, kind=REFERENCE, source=OUTSIDE))
        fanout.publish(told(position))

    assert 39 - 8 == fanout.lost_position


def test_fanout_finds_the_first_record_above_a_position():
    """Records from outside stand in between and are nobody's place."""
    fanout = small()
    for position in (3, 3, 8):
        fanout.publish(told(position))
        fanout.publish(told(10**6, kind=REFERENCE, source=OUTSIDE))

    found = [fanout.first_above(position) for position in (0, 2, 3, 7, 8, 9)]

    assert [0, 0, 4, 4, 6, 6] == found


def test_fanout_shows_a_command_whole_or_not_at_all():
    """A reader with room for less is given all it wants of a command, and no part of another."""
    fanout = Fanout(records=64, instruments=4, subscribers=1)
    slot = reader(fanout, (0, QUOTE), (1, QUOTE))
    command = [told(4, 0), told(4, 2), told(4, 1), told(4, 0)]
    fanout.publish_all(command)
    fanout.publish_all([told(6, 2), told(6, 1)])

    first = fanout.read(slot, 0, 1)
    second = fanout.read(slot, first.cursor, 1)

    assert [4, 4, 4] == [one.position for one in first.records]
    assert 4 == first.position
    assert [6] == [one.position for one in second.records]
    assert (6, fanout.head) == (second.position, second.cursor)


def test_fanout_says_up_to_where_a_reader_knows_everything_it_wants():
    """Commands that do not concern it are behind it too, one that it was not given is not."""
    fanout = Fanout(records=64, instruments=4, subscribers=1)
    slot = reader(fanout, (0, QUOTE))
    fanout.publish(told(1, 0))
    fanout.publish(told(2, 3))
    fanout.publish_all([told(5, 3), told(5, 0)])

    assert (1, 2) == (len(fanout.read(slot, 0, 1).records), fanout.read(slot, 0, 1).position)
    assert (2, 5) == (len(fanout.read(slot, 0, 9).records), fanout.read(slot, 0, 9).position)
    assert 0 == fanout.read(slot, fanout.head, 9).position


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"instrument": 4}, "instrument is 4, not 0 to 3"),
        ({"instrument": -1}, "instrument is -1"),
        ({"kind": 8}, "kind is 8, not 0 to 7"),
        ({"price": 2**63}, "does not fit 64 bits"),
        ({"third": -(2**63) - 1}, "does not fit 64 bits"),
    ],
)
def test_fanout_refuses_a_batch_of_which_one_record_does_not_fit(wrong, said):
    """Nothing of it is written: no number, no latest, no pending bit."""
    fanout = small()
    slot = reader(fanout, (0, QUOTE))

    with pytest.raises(ValueError, match=said):
        fanout.publish_all([told(1), told(1)._replace(**wrong)])

    assert (0, None, False) == (fanout.head, fanout.latest(0, QUOTE), fanout.is_pending(slot))
    assert 0 == fanout.count(0, QUOTE)


def test_fanout_refuses_a_price_that_is_no_integer():
    """A float would be cut in silence."""
    with pytest.raises(TypeError, match=r"1\.5 is not an integer"):
        small().publish(told(1)._replace(price=1.5))


def test_fanout_refuses_what_is_no_record():
    """A shorter tuple is not filled up."""
    with pytest.raises(ValueError, match="15 words, not 3"):
        small().publish((1, 2, 3))


def test_fanout_has_room_for_so_many_subscribers_and_says_so():
    """One more than there is room for is refused; a slot that is free again is another's."""
    fanout = small(subscribers=65)
    slots = [reader(fanout, (0, QUOTE)) for _ in range(65)]
    assert len(set(slots)) == 65
    with pytest.raises(OverflowError, match="all 65 subscribers"):
        fanout.open()

    fanout.publish(told(1))
    fanout.close(slots[64])
    again = fanout.open()

    assert again == slots[64]
    assert not fanout.is_pending(again)
    fanout.publish(told(2))
    assert not fanout.is_pending(again)
    assert [] == positions(fanout, again)
    with pytest.raises(ValueError, match="slot is 65, not 0 to 64"):
        fanout.subscribe(65, 0, QUOTE)
    fanout.close(again)
    with pytest.raises(ValueError, match="is nobody's"):
        fanout.close(again)


def test_fanout_tells_nobody_who_unsubscribed():
    """The others of the same word of bits are told on."""
    fanout = small()
    one, other = reader(fanout, (0, QUOTE)), reader(fanout, (0, QUOTE))

    fanout.unsubscribe(one, 0, QUOTE)
    fanout.unsubscribe(one, 0, QUOTE)
    fanout.publish(told(1))

    assert (False, True) == (fanout.is_pending(one), fanout.is_pending(other))


def test_fanout_makes_room_for_instruments_and_keeps_what_it_knows():
    """A listing while the feed runs costs nobody his subscription."""
    fanout = small()
    slot = reader(fanout, (3, QUOTE))
    fanout.publish(told(1, 3))

    fanout.make_room(9)
    fanout.make_room(2)
    fanout.subscribe(slot, 8, QUOTE)
    fanout.publish(told(2, 8))
    fanout.publish(told(3, 3))

    assert 9 == fanout.instruments
    assert [1, 2, 3] == positions(fanout, slot)
    assert (2, 1) == (fanout.count(3, QUOTE), fanout.count(8, QUOTE))


def test_fanout_memory_is_that_of_its_construction_whatever_comes():
    """A hundred times the ring changes no byte."""
    fanout = Fanout(records=1_024, instruments=16, subscribers=1_000)
    for _ in range(1_000):
        reader(fanout, (0, QUOTE))
    before = fanout.memory_bytes()

    for position in range(1, 102_400):
        fanout.publish(told(position))

    assert before == fanout.memory_bytes()
    assert 1_024 * 128 + 16 * 8 * 8 * (1 + 16 + 16) <= before < 1_024 * 128 + 40_000


@pytest.mark.parametrize("size", ["records", "instruments", "subscribers"])
@pytest.mark.parametrize("number", [0, -1, 2**40])
def test_fanout_of_no_size_is_refused_by_its_name(size, number):
    """A setting that is wrong is named."""
    with pytest.raises(ValueError, match=f"{size} is {number}"):
        small(**{size: number})


def test_market_data_quantities_beyond_64_bits_are_two_words():
    """What the largest orders at one price add up to."""
    largest = 2**29 * (10**17 - 1)
    for qty in (0, 1, 2**62 - 1, 2**62, 2**63, largest):
        low, high = halves(qty)
        assert 0 <= low < 2**62 and 0 <= high < 2**62
        assert qty == whole(low, high)


def test_market_data_ids_are_two_signed_words():
    """Every id comes back, of whatever bits."""
    for bits in (0, 1, 2**64 - 1, 2**127, 2**128 - 1, 0x0199AAAABBBB7CCC8DDD0123456789AB):
        identifier = id_of(bits >> 64, bits & (2**64 - 1))
        assert bits == identifier.int
        words = id_words(identifier)
        assert all(-(2**63) <= word < 2**63 for word in words)
        assert identifier == id_of(*words)
