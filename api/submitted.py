"""What a client submits under one address: its order class says which request it is."""

from __future__ import annotations

from typing import Any, ClassVar
from uuid import UUID

from api.schemas import RequestBody
from application.commands import PlaceMultiLeg
from application.orders import PlaceGroup, PlaceOrder


class SubmittedOrder(RequestBody):
    """An order, a group of linked orders or a multi-leg order."""

    KINDS: ClassVar[dict[str, type[SubmittedOrder]]] = {}
    """The request that reads each order class; under no name that of all others."""

    READS: ClassVar[str] = ""

    client_order_id: str | None = None

    @classmethod
    def __pydantic_init_subclass__(cls, **rest: Any) -> None:
        """Note which order class a request reads."""
        super().__pydantic_init_subclass__(**rest)
        SubmittedOrder.KINDS[cls.READS] = cls

    @classmethod
    def read_as(cls, document: Any) -> type[SubmittedOrder]:
        """The request that a document is, by its order class."""
        if cls is not SubmittedOrder:
            return cls
        named = document.get("order_class") if isinstance(document, dict) else None
        return cls.KINDS.get(named if isinstance(named, str) else "") or cls.KINDS[""]

    @property
    def group_class(self) -> int:
        """The OrderClass of the group of linked orders it asks for; 0 for what is none."""
        return 0

    @property
    def spelled(self) -> dict[str, str]:
        """How it says what its command calls otherwise."""
        return {}

    def command(
        self, account_id: UUID, client_order_id: str
    ) -> PlaceOrder | PlaceGroup | PlaceMultiLeg:
        """The command that places what it asks for."""
        raise NotImplementedError
