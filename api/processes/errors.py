"""Why a venue of processes cannot be."""

from __future__ import annotations

from api.cli.exit_codes import Exit


class VenueFailed(Exception):
    """The venue could not be started; the message says what and why."""

    def __init__(self, message: str, code: Exit = Exit.STORE_UNAVAILABLE) -> None:
        super().__init__(message)
        self.code = code


class PortTaken(VenueFailed):
    """No port from the wanted one on is free."""
