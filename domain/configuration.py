"""What an account's owner has set for it: how it may trade, as far as the venue lets it."""

from __future__ import annotations

import msgspec

MULTIPLIER = 2
"""Of a margin account: what the usual initial rate, one half, lets it buy of what is free."""

UNLEVERED = 1
"""Of an account that buys with no more than its own."""

WHOLE_BPS = 10_000


class Configuration(msgspec.Struct, frozen=True, gc=False):
    """The members of Alpaca's account configuration that change what is granted.

    With a `max_margin_multiplier` of 1 what is opened must be covered in full.
    """

    suspend_trade: bool = False
    no_shorting: bool = False
    fractional_trading: bool = True
    max_margin_multiplier: int = MULTIPLIER
