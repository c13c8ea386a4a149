"""A source of prices from outside, as the settings name it: a file or a WebSocket."""

from __future__ import annotations

import os
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, StrictBool, field_validator, model_validator

_SCHEMES = ("ws", "wss")
_ENDINGS = (".csv", ".jsonl")


class PriceSource(BaseModel):
    """Where prices come from, and whether they mark what they are of.

    Written as a text it is its place alone.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    place: Annotated[str, Field(alias="from", min_length=1)]
    """A .csv or .jsonl file, or the address of a WebSocket."""
    marks: StrictBool = False
    """Whether a price that changes is sent to the venue as a mark."""
    mark_ms: Annotated[int, Field(ge=10, le=3_600_000)] = 1_000
    """How long at least an instrument has a mark of this source before it gets another."""
    mark_bps: Annotated[int, Field(ge=1, le=1_000_000)] = 2_000
    """How far from its present mark it is marked at most: beyond that an operator must do it."""

    @model_validator(mode="before")
    @classmethod
    def _place_alone(cls, said: Any) -> Any:
        return {"from": said} if isinstance(said, str) else said

    @field_validator("place")
    @classmethod
    def _can_be_opened(cls, place: str) -> str:
        # An address is not repeated in what is wrong with it: it may hold a password.
        try:
            parts = urlsplit(place)
            if parts.scheme in _SCHEMES:
                if not parts.hostname or parts.port == 0 or parts.fragment:
                    raise ValueError
                return place
        except ValueError:
            raise ValueError("no address of a WebSocket, such as wss://host/path") from None
        if not place.endswith(_ENDINGS):
            raise ValueError("neither ws://, wss://, nor a file that ends in .csv or .jsonl")
        return os.path.abspath(os.path.expanduser(place))

    @property
    def is_websocket(self) -> bool:
        """Whether it is the address of a WebSocket, and no file."""
        return urlsplit(self.place).scheme in _SCHEMES
