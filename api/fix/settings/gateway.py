"""What is set for the whole FIX gateway: its TLS door, and how much of strangers it bears."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, StrictBool, StrictInt, model_validator

from api.fix.settings.template import Part, Positive

PortNumber = Annotated[StrictInt, Field(ge=1, le=65_535)]


class Tls(Part):
    """A second port, spoken to in TLS. Paths are seen from the file that names them."""

    port: PortNumber
    certificate: Path
    """PEM: the venue's own, with what leads to its root."""
    key: Path
    clients: Path | None = None
    """PEM: who signs clients' certificates; none is asked for without it."""
    required: StrictBool = False
    """Whether nobody is let in without a certificate of his own."""

    @model_validator(mode="after")
    def _knows_who_signs(self) -> Self:
        if self.required and self.clients is None:
            raise ValueError("certificates cannot be required without `clients`, who signs them")
        return self


class GatewaySettings(Part):
    """Bounds on what comes before a client has logged on."""

    connections: Annotated[StrictInt, Field(ge=1, le=10_000)] = 1_000
    """How many connections may stand at once."""
    strangers: Annotated[StrictInt, Field(ge=1, le=10_000)] = 200
    """How many of them may not have logged on yet."""
    logon_seconds: Positive = 10
    """How long a connection may stand without a logon."""
    passwords_at_once: Annotated[StrictInt, Field(ge=1, le=16)] = 2
    passwords_waiting: Annotated[StrictInt, Field(ge=1, le=10_000)] = 200
    """How many logons may wait for their turn; one more is refused."""
    failed_logons: Positive = 5
    """How many logons of one address may fail within the window."""
    failed_window_seconds: Positive = 60
    tls: Tls | None = None
