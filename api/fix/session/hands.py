"""What a session does to the world, and what judges its messages, as the session sees them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from api.fix.codec import Message
from api.fix.ports import Received


class Fault(Protocol):
    """What is wrong with a message, as validation says it."""

    @property
    def reason(self) -> int:
        """SessionRejectReason(373), or BusinessRejectReason(380)."""
        ...

    @property
    def tag(self) -> int:
        """The field that it is about; 0 for none."""
        ...

    @property
    def text(self) -> str:
        """What is told."""
        ...

    @property
    def kind(self) -> str:
        """Whether it is a `reject` or a `business` one."""
        ...


Validate = Callable[[Received], Fault | None]
Fields = Sequence[tuple[int, bytes]]


class Hands(Protocol):
    """How a session speaks to its client, and what it knows to have arrived there."""

    last_sent: float
    """When anything was last written, by the steady clock."""

    def say(self, msg_type: bytes, fields: Fields, header: Fields = ()) -> None:
        """Send a message that is of this moment: asked for again, it is gap-filled."""
        ...

    def beat(self) -> None:
        """Send a Heartbeat, or what keeps the client content where no number can be used now."""
        ...

    def send_again(self, first: int, last: int) -> bool:
        """Send a range of own numbers again, to the newest when `last` is 0; False when too much
        is asked for already.
        """
        ...

    def last_number(self) -> int:
        """The highest own number that was used."""
        ...

    def unconfirmed(self) -> bool:
        """Whether reports were sent that are not known to have arrived."""
        ...

    def confirmed(self, test_id: bytes) -> None:
        """Note that the client answered a TestRequest: all before it has arrived."""
        ...

    def expects(self, seq_num: int) -> None:
        """Note which own number the client says it expects next: all before it has arrived."""
        ...

    def close(self, reason: str) -> None:
        """Close the connection once all that was said is written."""
        ...


class Behind(Protocol):
    """What is behind a session."""

    def hand_over(self, message: Received) -> None:
        """Give an application message to what is behind the session."""
        ...

    def over_rate(self, message: Received) -> None:
        """Have a message over the rate answered by a report."""
        ...

    def restart(self, logon: Message) -> None:
        """Begin the numbers anew, as a Logon within the session asks."""
        ...
