"""Why a venue of processes cannot be."""

from __future__ import annotations


class VenueFailed(Exception):
    """The venue could not be started; the message says what and why."""


class PortTaken(VenueFailed):
    """No port from the wanted one on is free."""
