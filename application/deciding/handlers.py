"""One plain function a command: a step and the command in, events out.

A handler returns its reply when its events do not say it; else None, and the reply is
rendered from the events (`application.writer.replies`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from application.commands import (
    BustTrade,
    CancelAll,
    CancelOrder,
    ChangeInstrument,
    ChangeWatchlist,
    ChargeFee,
    CheckMargins,
    CloseAllPositions,
    CloseDay,
    CloseInstrument,
    ClosePosition,
    ConfigureAccount,
    CorrectTrade,
    CreateWatchlist,
    DeleteWatchlist,
    Deposit,
    ExpireOption,
    ExpireOrders,
    HaltInstrument,
    ListInstrument,
    ListOptionChain,
    MarkInstrument,
    OpenAccount,
    OpenInstrument,
    PlaceGroup,
    PlaceOrder,
    ReplaceOrder,
    Reply,
    ResumeInstrument,
    SetAccountLimits,
    SetAccountPolicy,
    SetAccountStatus,
    SetCommissionSchedule,
    SetKillSwitch,
    Settle,
    TransferPosition,
    Withdraw,
)
from application.deciding import (
    accounts,
    canceling,
    closing,
    day_end,
    expiring,
    instruments,
    limits,
    option_chains,
    placing,
    placing_groups,
    replacing,
    settlement,
    trades,
    watchlists,
)
from application.deciding.step import Step

Handler = Callable[[Step, Any], Reply | None]

HANDLERS: dict[type[Any], Handler] = {
    PlaceOrder: placing.place_order,
    PlaceGroup: placing_groups.place_group,
    ClosePosition: closing.close_position,
    CloseAllPositions: closing.close_all_positions,
    CancelOrder: canceling.cancel_order,
    ReplaceOrder: replacing.replace_order,
    CancelAll: canceling.cancel_all,
    OpenAccount: accounts.open_account,
    SetAccountStatus: accounts.set_account_status,
    SetAccountLimits: accounts.set_account_limits,
    SetAccountPolicy: limits.set_account_policy,
    ConfigureAccount: limits.configure_account,
    SetCommissionSchedule: limits.set_commission_schedule,
    SetKillSwitch: limits.set_kill_switch,
    CheckMargins: limits.check_margins,
    CloseDay: day_end.close_day,
    Settle: settlement.settle,
    Deposit: accounts.deposit,
    Withdraw: accounts.withdraw,
    ChargeFee: accounts.charge_fee,
    TransferPosition: accounts.transfer_position,
    ListInstrument: instruments.list_instrument,
    ListOptionChain: option_chains.list_option_chain,
    ChangeInstrument: instruments.change_instrument,
    OpenInstrument: instruments.open_instrument,
    CloseInstrument: instruments.close_instrument,
    HaltInstrument: instruments.halt_instrument,
    ResumeInstrument: instruments.resume_instrument,
    MarkInstrument: instruments.mark_instrument,
    ExpireOrders: instruments.expire_orders,
    ExpireOption: expiring.expire_option,
    BustTrade: trades.bust_trade,
    CorrectTrade: trades.correct_trade,
    CreateWatchlist: watchlists.create_watchlist,
    ChangeWatchlist: watchlists.change_watchlist,
    DeleteWatchlist: watchlists.delete_watchlist,
}
