"""How much a door takes on: of one connection, of one address, and of all."""

from __future__ import annotations

from dataclasses import dataclass

RESERVED_DESCRIPTORS = 256
"""Descriptors that are kept for the store, the bus, the feed and files."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The bounds of a door. Generous for a client that wants something, small for one that
    wants to keep others from it.
    """

    # Connections
    connections: int = 8_192
    of_an_address: int = 4_096
    strangers: int = 2_048
    """Connections that have not said who they are."""
    strangers_of_an_address: int = 1_024
    proxies: frozenset[str] = frozenset()
    """Addresses behind which there are many: counted in all and as strangers alone."""

    # A request, in bytes
    head_bytes: int = 65_536
    headers: int = 128
    target_bytes: int = 16_384
    whole_bytes: int = 393_216
    """Of a request with all that frames it: lines, chunks and what chunks say beside."""

    # Time
    head_seconds: float = 10.0
    """For a whole head, from its first byte on or from the beginning of the connection."""
    body_seconds: float = 30.0
    idle_seconds: float = 15.0
    """Between requests of a connection that has not said who it is."""
    unread_seconds: float = 60.0
    """For the next 64 kB of what is written, when a client leaves more than that unread."""
    strangers_unread_seconds: float = 10.0
    unread_bytes: int = 134_217_728
    """Left unread by all of them together; whoever has longest is cut."""
    abort_seconds: float = 5.0
    """That a closed connection may take to send what was written."""
    tick_seconds: float = 0.5

    begun_seconds: float = 1.0
    """For the first request in a key's line to be begun, before those behind it are refused."""

    # What is taken in one turn of the loop
    part_bytes: int = 1_536
    """Of requests, of which the shortest has 18."""
    requests_of_a_turn: int = 4
    """Begun, of all connections together."""
    frame_part_bytes: int = 16_384
    frames_in_a_part: int = 4
    frame_parts: int = 2
    """Of all WebSockets together."""

    # What is taken in a second of one connection, and how much of it at once
    strangers_requests: int = 100
    strangers_requests_at_once: int = 200
    strangers_turns: int = 500
    """Parts of what strangers send, of all of them together; each request in a part is one."""
    strangers_turns_saved: int = 100
    strangers_turns_together: int = 2
    """In a millisecond, of those that are saved."""
    answer_bytes_of_a_turn: int = 65_536
    """As one more turn counts so much of an answer."""
    opening_turns: int = 3
    """As how many turns the opening of a WebSocket counts."""
    frames: int = 2_000
    frames_at_once: int = 4_000
    frame_bytes: int = 2_097_152
    frame_bytes_at_once: int = 8_388_608
    empty_frames: int = 64
    """Frames that bring no message: pings, pongs, and parts of a message but for the first."""
    empty_frames_at_once: int = 512

    # What a WebSocket may send before it has said who it is
    strangers_frames: int = 64
    strangers_bytes: int = 131_072

    def within(self, descriptors: int) -> int:
        """How many connections there may be for a process that may open so many files."""
        return max(1, min(self.connections, descriptors - RESERVED_DESCRIPTORS))
