"""The symbols of one client: what it was told of each last, and where it is behind."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from api.ws.market_data.hub import Channel, Hub
from api.ws.market_data.paces import Pace
from api.ws.market_data.tapes import Place, StatusTape, Tape, TradeTape
from projections.market_data.feed import Followed
from projections.market_data.subscribers import Row


class Subscribed:
    """What a client is told of. It is a listener of its pace, which only notes what moved."""

    def __init__(self, hub: Hub, channel: Channel, wake: Callable[[], None]) -> None:
        """`wake` is called when there is something to send."""
        self.skipped = 0
        self.dropped = 0
        self.throttle_ms = hub.manners.throttle_ms
        self._hub = hub
        self._channel = channel
        self._wake = wake
        self._symbols: dict[str, Followed] = {}
        self._tapes: dict[Row, Tape] = {}
        self._places: dict[Row, Place | None] = {}
        self._behind: dict[Row, None] = {}
        self._pace: Pace | None = None

    # Questions

    @property
    def symbols(self) -> Sequence[str]:
        """The symbols, in the order of the alphabet."""
        return sorted(self._symbols)

    @property
    def is_behind(self) -> bool:
        """Whether there is something that it was not told."""
        return bool(self._behind)

    def has(self, symbol: str) -> bool:
        """Whether a symbol is subscribed to."""
        return symbol in self._symbols

    def sequences(self) -> Mapping[str, int | None]:
        """The sequence that was told last of each symbol; null before anything was."""
        kind = int(self._channel.tape.kind)
        places = {
            symbol: self._places[followed.row, kind] for symbol, followed in self._symbols.items()
        }
        return {symbol: place.sequence if place else None for symbol, place in places.items()}

    # Changes

    def add(self, symbol: str, followed: Followed) -> None:
        """Be told of an instrument, of all that stands first; it is left when it is dropped."""
        self.drop(symbol)
        for other, known in [*self._symbols.items()]:
            if known.row == followed.row:
                # The same instrument under another name: it was given this one.
                self.drop(other)
        self._symbols[symbol] = followed
        rows = []
        for kind in (StatusTape, self._channel.tape):
            tape = self._hub.take(kind, followed, symbol)
            self._tapes[tape.row] = tape
            self._places[tape.row] = None
            self._behind[tape.row] = None
            rows.append(tape.row)
        if self._pace is None:
            self._pace = self._hub.pace(self.throttle_ms)
        self._pace.join(self, rows)
        self._wake()

    def drop(self, symbol: str) -> None:
        """Be told of a symbol no more, if one was."""
        followed = self._symbols.pop(symbol, None)
        if followed is None:
            return
        rows = [row for row in self._tapes if row[0] == followed.row]
        assert self._pace is not None
        self._pace.drop(rows)
        for row in rows:
            self._hub.give_back(self._tapes.pop(row))
            del self._places[row]
            self._behind.pop(row, None)
        self._hub.feed.leave(followed.row)

    def clear(self) -> None:
        """Be told of nothing any more."""
        for symbol in [*self._symbols]:
            self.drop(symbol)
        if self._pace is not None:
            self._pace.leave(self, ())
            self._pace = None

    def at(self, throttle_ms: int) -> None:
        """Be told at another pace from now on."""
        if throttle_ms == self.throttle_ms:
            return
        self.throttle_ms = throttle_ms
        if self._pace is not None:
            self._pace.leave(self, self._tapes)
            self._pace = self._hub.pace(throttle_ms)
            self._pace.join(self, self._tapes)
            # What moved since the last pace looked is looked for once more.
            self.moved([*self._tapes])

    # Telling

    def moved(self, rows: Sequence[Row]) -> None:
        """Note what moved of its own."""
        tapes = self._tapes
        found = [row for row in rows if row in tapes]
        if found:
            self._behind.update(dict.fromkeys(found))
            self._wake()

    def begin_anew(self) -> None:
        """Be told again of all that stands: the feed was away. Trades go on where they were."""
        for row, tape in self._tapes.items():
            if not isinstance(tape, TradeTape):
                self._places[row] = None
        self.moved([*self._tapes])

    def parts(self, at_most: int) -> list[bytes]:
        """What is new, message by message, until there are so many bytes; the rest stays new."""
        texts: list[bytes] = []
        note, size = self._hub.note, 0
        for row in [*self._behind]:
            if size >= at_most:
                break
            del self._behind[row]
            tape = self._tapes[row]
            part = tape.since(self._places[row], note)
            if part is None:
                continue
            self._places[row] = part.place
            if part.more:
                self._behind[row] = None
            if isinstance(tape, TradeTape):
                self.dropped += part.left_out
                self._hub.counts.dropped += part.left_out
            else:
                self.skipped += part.left_out
                self._hub.counts.skipped += part.left_out
            if part.text:
                texts.append(part.text)
                size += len(part.text)
        return texts
