"""Which symbols are asked for most: counts that decay, in bounded memory."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp2, log

from application.market_data.tiers import SECOND


@dataclass(frozen=True, slots=True)
class HotLimits:
    """From how many requests a second on a symbol is raised to a tier, fastest first."""

    rates: tuple[int, ...] = (100, 10)
    cools_at_percent: int = 50
    """It is lowered again below this part of the rate, so that it does not swing."""
    half_life: int = 10 * SECOND
    most: int = 10_000
    """How many symbols are counted; beyond that the least asked are forgotten."""


class HotSymbols:
    """Counts requests by symbol; a count halves in every half-life.

    A steady rate r makes a count of r * half-life / ln 2 (with the half-life in seconds).
    """

    def __init__(self, limits: HotLimits | None = None) -> None:
        self._limits = limits or HotLimits()
        self._per_rate = self._limits.half_life / SECOND / log(2)
        self._counts: dict[str, tuple[float, int]] = {}
        self._tiers: dict[str, int] = {}
        self.promoted = 0
        self.demoted = 0

    def __len__(self) -> int:
        return len(self._counts)

    def tier(self, symbol: str) -> int | None:
        """The tier that a symbol is raised to; None for one that is not hot."""
        return self._tiers.get(symbol)

    def raised(self) -> list[str]:
        """The symbols that are raised to a tier."""
        return list(self._tiers)

    def asked(self, symbol: str, now: int) -> int | None:
        """Count one request, and say which tier the symbol is raised to."""
        known = self._counts.get(symbol)
        if known is None:
            if len(self._counts) >= self._limits.most:
                self._forget(now)
            count = 1.0
        else:
            count = known[0] * exp2((known[1] - now) / self._limits.half_life) + 1
        self._counts[symbol] = (count, now)
        return self._judge(symbol, count)

    def cool(self, now: int) -> None:
        """Lower what is not asked for any more; to be called now and then."""
        for symbol in list(self._tiers):
            count, at = self._counts[symbol]
            self._judge(symbol, count * exp2((at - now) / self._limits.half_life))

    def rate(self, symbol: str, now: int) -> int:
        """About how many requests a second there are for a symbol."""
        count, at = self._counts.get(symbol, (0, now))
        return int(count * exp2((at - now) / self._limits.half_life) / self._per_rate)

    def _judge(self, symbol: str, count: float) -> int | None:
        before = self._tiers.get(symbol)
        rate = count / self._per_rate
        raised = None
        for number, wanted in enumerate(self._limits.rates, 1):
            # Who is there stays until it has cooled well below.
            stays = before is not None and before <= number
            if rate >= (wanted * self._limits.cools_at_percent / 100 if stays else wanted):
                raised = number
                break
        if raised == before:
            return raised
        if raised is not None:
            self._tiers[symbol] = raised
        else:
            del self._tiers[symbol]
        if before is None or (raised is not None and raised < before):
            self.promoted += 1
        else:
            self.demoted += 1
        return raised

    def _forget(self, now: int) -> None:
        """Make room: forget the less asked half of those that are not hot."""
        half_life = self._limits.half_life
        cold = sorted(
            (count * exp2((at - now) / half_life), symbol)
            for symbol, (count, at) in self._counts.items()
            if symbol not in self._tiers
        )
        for _, symbol in cold[: max(1, len(cold) // 2)]:
            del self._counts[symbol]
