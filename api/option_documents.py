"""Option contracts as clients get them, in Alpaca's shape."""

from __future__ import annotations

import datetime as dt
from typing import Any, Literal
from uuid import UUID

from api.documents import Document, Dollars, Price, Quantity
from api.rendering import date_text
from api.vocabulary import RightName, StyleName
from domain.money import to_text
from domain.option_terms import STRIKE_SCALE, STRIKE_UNIT
from domain.terms import ExerciseStyle, Phase, Right
from projections.option_contracts import ContractRow


class OptionContract(Document):
    """An option, in Alpaca's shape; `multiplier` is its `size`."""

    id: UUID
    symbol: str
    name: str
    status: Literal["active", "inactive"]
    tradable: bool
    expiration_date: dt.date
    root_symbol: str
    underlying_symbol: str
    underlying_asset_id: UUID
    type: RightName
    style: StyleName
    strike_price: Price
    size: str
    multiplier: str
    open_interest: None
    open_interest_date: None
    close_price: None
    close_price_date: None


class OptionContracts(Document):
    """A page of option contracts, by symbol; `next_page_token` is null on the last."""

    option_contracts: list[OptionContract]
    next_page_token: str | None


class OptionActivity(Document):
    """What became of an option at its expiry, in Alpaca's shape.

    OPEXP, OPEXC and OPASN are contracts that leave the position, whose quantity is told; OPTRD is
    what is bought or sold of the underlying for those that were exercised or assigned.
    """

    id: str
    activity_type: Literal["OPEXP", "OPEXC", "OPASN", "OPTRD"]
    account_id: UUID
    date: dt.date
    net_amount: Dollars
    description: str
    symbol: str
    qty: Quantity
    price: Price | None
    status: Literal["executed"]
    per_share_amount: None


OPTION_DOCUMENTS: tuple[type[Document], ...] = (OptionContract, OptionContracts, OptionActivity)


def contract_document(row: ContractRow) -> dict[str, Any]:
    """An option as a trader sees it."""
    trades = row.phase != Phase.EXPIRED
    return {
        "id": str(row.instrument_id),
        "symbol": row.symbol,
        "name": row.name,
        "status": "active" if trades else "inactive",
        "tradable": trades,
        "expiration_date": date_text(row.expiry),
        "root_symbol": row.root,
        "underlying_symbol": row.underlying_symbol,
        "underlying_asset_id": str(row.underlying_id),
        "type": Right(row.right_code).name.lower(),
        "style": ExerciseStyle(row.style).name.lower(),
        "strike_price": to_text(row.strike // STRIKE_UNIT, STRIKE_SCALE),
        "size": str(row.multiplier),
        "multiplier": str(row.multiplier),
        "open_interest": None,
        "open_interest_date": None,
        "close_price": None,
        "close_price_date": None,
    }
