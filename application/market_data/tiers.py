"""How fresh an answer about a symbol must be, and how often it is fetched for that: its tier."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

MILLISECOND = 1_000
SECOND = 1_000_000
"""Times of the cache are microseconds."""


@dataclass(frozen=True, slots=True)
class Tier:
    """The bounds of one tier, in microseconds; ages count from when the source knew itself to be at
    the log's head.
    """

    number: int
    ttl: int
    """How long after it was fetched an answer is fetched anew, when somebody asks."""
    served_until: int
    """The age at which an answer is not served any more: until then it is, and refreshed behind."""
    failing_until: int
    """The age up to which it is served with a warning while its source fails or hangs."""
    jitter_percent: int = 20
    """How far each answer's own ttl stands off, either way, so that none expire together."""

    def __post_init__(self) -> None:
        """Refuse bounds that contradict each other; raises ValueError."""
        if not 0 < self.ttl < self.served_until <= self.failing_until:
            raise ValueError(
                f"tier {self.number}: 0 < ttl < served_until <= failing_until does not hold for"
                f" {self.ttl}, {self.served_until}, {self.failing_until} µs"
            )
        if not 0 <= self.jitter_percent < 100:
            raise ValueError(f"tier {self.number}: jitter_percent is {self.jitter_percent}")


TIER_1 = Tier(1, 50 * MILLISECOND, 100 * MILLISECOND, 100 * MILLISECOND)
TIER_2 = Tier(2, 200 * MILLISECOND, 500 * MILLISECOND, 5 * SECOND)
TIER_3 = Tier(3, SECOND, 2 * SECOND, 30 * SECOND)
LEADING_SYMBOLS = ("AAPL", "GOOGL", "MSFT", "AMZN")


@dataclass(frozen=True, slots=True)
class Tiers:
    """The tiers, fastest first, and which symbols are of one whatever is asked; the others begin
    in the last.
    """

    tiers: tuple[Tier, ...] = (TIER_1, TIER_2, TIER_3)
    symbols: Mapping[int, Collection[str]] = field(
        default_factory=lambda: {TIER_1.number: LEADING_SYMBOLS}
    )

    def __post_init__(self) -> None:
        """Refuse tiers that are not numbered from 1, or a symbol of two; raises ValueError."""
        numbers = [tier.number for tier in self.tiers]
        if not numbers or numbers != list(range(1, len(numbers) + 1)):
            raise ValueError(f"tiers are numbered from 1 and fastest first, not {numbers}")
        seen: set[str] = set()
        for number, symbols in self.symbols.items():
            if number not in numbers:
                raise ValueError(f"there is no tier {number}")
            if twice := seen & set(symbols):
                raise ValueError(f"{min(twice)} is of two tiers")
            seen |= set(symbols)

    @property
    def last(self) -> Tier:
        """The tier of a symbol that nobody named and few ask for."""
        return self.tiers[-1]

    def named(self) -> dict[str, Tier]:
        """The tier of every symbol that is of one by configuration."""
        return {
            symbol: self.tiers[number - 1]
            for number, symbols in self.symbols.items()
            for symbol in symbols
        }
