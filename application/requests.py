"""What every command is made of: bounded values, and what kind of request it is."""

from __future__ import annotations

from typing import Annotated, ClassVar, TypeVar
from uuid import UUID

import msgspec

from domain.identifiers import AccountId, operators_of
from domain.units import TIER_NAMES, Columns, CommissionRate, Qty

_T = TypeVar("_T")

Int64 = Annotated[_T, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
"""What every store and every other language can keep, of some unit."""

Text = Annotated[_T, msgspec.Meta(max_length=256, pattern=r"^[^\x00]*\Z")]
"""Short text without the zero character, which PostgreSQL cannot keep."""

Sealed = Annotated[_T, msgspec.Meta(max_length=2_048, pattern=r"^[^\x00]*\Z")]
"""Short text, which is longer once it is sealed."""

Words = Annotated[_T, msgspec.Meta(max_length=500, pattern=r"^[^\x00]*\Z")]
"""What an operator writes down: why something was done, or what for."""

SentTier = Annotated[
    tuple[Int64[Qty], Int64[CommissionRate], Int64[CommissionRate]], Columns(TIER_NAMES)
]
"""A tier of a commission schedule, as it is asked for."""

KeyOf = tuple[UUID, str]
"""Whose and which key makes a request unique: an account's traders', or its operators'."""


class Command(msgspec.Struct, frozen=True, array_like=True, tag=True, omit_defaults=True):
    """Something the venue is asked to do, and what kind of request that is."""

    READS: ClassVar[bool] = False
    """Whether it is answered from the writer's state and changes nothing."""
    SAME_TWICE: ClassVar[bool] = False
    """Whether doing it twice does what once does, and both are answered alike."""
    TAKES_RISK_AWAY: ClassVar[bool] = False
    """Whether it only ends or stops something: it is taken when the venue is busy, too."""
    KEEPS_BESIDE: ClassVar[bool] = False
    """Whether rows beside the log are stored with its events (`application.writer.beside`)."""
    LOOKS_BACK: ClassVar[bool] = False
    """Whether it may name what memory no longer holds: an order or a trade by its id."""

    def scope(self) -> UUID | None:
        """Name the account that the command is about; None when it is about none in particular."""
        return None

    def key(self) -> KeyOf | None:
        """Tell whose and which key makes this request unique; None when it carries none."""
        return None

    def names_order(self) -> bool:
        """Tell whether its key is the name of an order, which is never given twice."""
        return False

    def key_field(self) -> str:
        """Tell in which field its key came."""
        return "client_order_id" if self.names_order() else "request_key"

    def orders_sent(self) -> int:
        """Tell how many orders it counts as against the account's rate; 0 is always taken."""
        return 0

    def is_repeatable(self) -> bool:
        """Tell whether a second sending cannot do a thing twice, nor misreport the first."""
        return self.READS or self.SAME_TWICE or self.key() is not None


class OfAccount(Command, frozen=True, array_like=True, omit_defaults=True):
    """A command about one account."""

    account_id: AccountId

    def scope(self) -> UUID | None:
        """Name the account that the command is about."""
        return self.account_id

    def key(self) -> KeyOf | None:
        """Tell its request key, where it has room for one."""
        return self.known_by(getattr(self, "request_key", ""))

    def known_by(self, key: str) -> KeyOf | None:
        """Make the account's request key; an empty one is none."""
        return (self.account_id, key) if key else None


class OfOperator(OfAccount, frozen=True, array_like=True, omit_defaults=True):
    """A command that operators give about an account: its key is theirs, whatever its traders'
    are named.
    """

    def known_by(self, key: str) -> KeyOf | None:
        """Make the key of the account's operators; an empty one is none."""
        return (operators_of(self.account_id), key) if key else None


def all_below(kind: type[Command]) -> list[type[Command]]:
    """Find every command, in the order in which they are declared; not what is only their base."""
    below = kind.__subclasses__()
    return [one for each in below for one in all_below(each)] if below else [kind]
