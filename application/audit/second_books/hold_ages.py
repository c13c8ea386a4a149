"""Since when a log's orders hold a cent for rounding: those of before are judged as they were."""

from __future__ import annotations


class HoldAges:
    """Whether what is judged is older than the cent that an order of a cash account holds.

    The cent came with trades that carry their exact value. So the first order that shows it, or
    the first fill that is exact, ends the age in which an order may lack it, for all that follow.
    """

    def __init__(self) -> None:
        self._older = True

    def carried(self) -> None:
        """Note a fill that carries its exact value."""
        self._older = False

    def due(self, said: int, due: int, cent: int) -> int:
        """What an order must hold, of which a `cent` is for rounding: less that, where it is older
        and says so.
        """
        if not cent or not self._older:
            return due
        if said == due:
            self._older = False
        return due - cent if said == due - cent else due
