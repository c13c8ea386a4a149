"""An account's configuration at the edge: what its owner may set of it, and how it is shown."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal
from uuid import UUID

from pydantic import BeforeValidator, StrictBool, WithJsonSchema

from api.documents import Document
from api.schemas import RequestBody
from application.commands import ConfigureAccount
from domain.configuration import MULTIPLIER, UNLEVERED, Configuration
from domain.errors import InvalidField

_MULTIPLIERS = {str(one): one for one in (UNLEVERED, MULTIPLIER)}


def _only(name: str, here: Any, why: str) -> Any:
    """A member that has one value here: that is taken, any other is refused by name."""

    def read(value: Any) -> Any:
        if value is not None and (type(value), value) != (type(here), here):
            raise InvalidField(name, f"is only {here!r} here: {why}".replace("'", ""))
        return value

    shown = {"enum": [here, None], "description": f"Only this: {why}."}
    return BeforeValidator(read), WithJsonSchema(shown)


def _multiplier(value: Any) -> int | None:
    if value is None:
        return None
    known = _MULTIPLIERS.get(str(value)) if isinstance(value, str | int) else None
    if known is None or isinstance(value, bool):
        raise InvalidField("max_margin_multiplier", "is 1 or 2 here")
    return known


class ConfigurationRequest(RequestBody):
    """Members of an account's configuration; what is left out, or null, stays as it is."""

    UNSUPPORTED: ClassVar[dict[str, str]] = {
        "dtbp_check": "is not taken: day trades are not limited here, and so not checked",
        "pdt_check": "is not taken: day trades are not limited here, and so not checked",
    }

    suspend_trade: StrictBool | None = None
    no_shorting: StrictBool | None = None
    fractional_trading: StrictBool | None = None
    max_margin_multiplier: Annotated[
        int | None,
        BeforeValidator(_multiplier),
        WithJsonSchema({"enum": ["1", "2", 1, 2, None], "examples": ["2"]}),
    ] = None
    ptp_no_exception_entry: Annotated[
        bool | None,
        *_only("ptp_no_exception_entry", False, "nothing listed is known as a PTP"),
    ] = None
    max_options_trading_level: Annotated[
        int | None,
        *_only("max_options_trading_level", 3, "by its kind an account may more or less"),
    ] = None
    trade_confirm_email: Annotated[
        str | None, *_only("trade_confirm_email", "none", "no mail is sent")
    ] = None

    def command(self, account_id: UUID) -> ConfigureAccount:
        """The command that sets them."""
        return ConfigureAccount(
            account_id,
            self.suspend_trade,
            self.no_shorting,
            self.fractional_trading,
            self.max_margin_multiplier,
        )


class AccountConfiguration(Document):
    """How the account's owner wants it to trade, in Alpaca's shape.

    The first four are granted as they are set. What follows has one value here: day trades are
    not limited, no mail is sent, nothing listed is a PTP, and options are not traded.
    """

    suspend_trade: bool
    no_shorting: bool
    fractional_trading: bool
    max_margin_multiplier: Literal["1", "2"]
    dtbp_check: None
    pdt_check: None
    trade_confirm_email: Literal["none"]
    ptp_no_exception_entry: Literal[False]
    max_options_trading_level: Literal[3]


def configuration_document(configuration: Configuration) -> dict[str, Any]:
    """A configuration as its owner sees it."""
    return {
        "suspend_trade": configuration.suspend_trade,
        "no_shorting": configuration.no_shorting,
        "fractional_trading": configuration.fractional_trading,
        "max_margin_multiplier": str(configuration.max_margin_multiplier),
        "dtbp_check": None,
        "pdt_check": None,
        "trade_confirm_email": "none",
        "ptp_no_exception_entry": False,
        "max_options_trading_level": 3,
    }
