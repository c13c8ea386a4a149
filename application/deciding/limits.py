"""Set what accounts may do and pay: policies, commissions, kill switches, margin calls."""

from __future__ import annotations

from msgspec.structs import asdict, replace

from application.commands import (
    CheckMargins,
    ConfigureAccount,
    Reply,
    SetAccountPolicy,
    SetCommissionSchedule,
    SetKillSwitch,
    SetPairMargin,
)
from application.deciding.recording import done, unchanged
from application.deciding.step import Step
from application.desk.desk import Desk
from domain.account import Account
from domain.commission import MAX_BPS_RATE, MAX_PER_SHARE_RATE, Kind, Schedule
from domain.configuration import MULTIPLIER, UNLEVERED, Configuration
from domain.errors import InvalidField
from domain.margin import equity
from domain.pair_margin import MOST_PAIRS, WHOLE_BPS
from domain.risk import MAX_NOTIONAL

MAX_TIERS = 20
CHUNK = 200


def set_account_policy(step: Step, cmd: SetAccountPolicy) -> Reply:
    """Say whether unsettled proceeds may buy."""
    account = step.desk.accounts.account(cmd.account_id)
    if cmd.use_unsettled == account.use_unsettled:
        return unchanged(step, _named(account))
    account.set_policy(step, cmd.use_unsettled)
    return done(step, _named(account))


def configure_account(step: Step, cmd: ConfigureAccount) -> Reply:
    """Set how an account's owner wants it to trade; orders that work go on as they are."""
    account = step.desk.accounts.account(cmd.account_id)
    before = account.configuration
    multiplier = cmd.max_margin_multiplier
    if multiplier not in (None, UNLEVERED, MULTIPLIER):
        raise InvalidField("max_margin_multiplier", "is 1 or 2 here")
    if multiplier == MULTIPLIER and not account.is_margin:
        raise InvalidField("max_margin_multiplier", "of a cash account is 1: it cannot borrow")
    wanted = {name: getattr(cmd, name) for name in Configuration.__struct_fields__}
    after = replace(before, **{k: v for k, v in wanted.items() if v is not None})
    told = {**_named(account), "configuration": asdict(after)}
    if after == before:
        return unchanged(step, told)
    account.configure(step, after)
    return done(step, told)


def set_commission_schedule(step: Step, cmd: SetCommissionSchedule) -> Reply:
    """Say what trades cost from now on; orders under way go on under it."""
    account = step.desk.accounts.account(cmd.account_id)
    schedule = Schedule(cmd.kind, cmd.tiers, cmd.minimum, cmd.cap_bps)
    _check_schedule(schedule)
    if schedule == account.commission_schedule:
        return unchanged(step, _named(account))
    account.set_schedule(step, schedule)
    return done(step, _named(account))


def _check_schedule(schedule: Schedule) -> None:
    if schedule.kind not in frozenset(map(int, Kind)):
        raise InvalidField("kind", "is none of none, per_share and bps")
    if bool(schedule.kind) != bool(schedule.tiers):
        raise InvalidField("tiers", "are needed by a schedule that charges and by no other")
    if len(schedule.tiers) > MAX_TIERS:
        raise InvalidField("tiers", f"are more than {MAX_TIERS}")
    thresholds = [tier[0] for tier in schedule.tiers]
    if thresholds and (thresholds[0] or thresholds != sorted(set(thresholds))):
        raise InvalidField("tiers", "do not ascend from a quantity of 0")
    most = MAX_BPS_RATE if schedule.kind == Kind.BPS else MAX_PER_SHARE_RATE
    if any(abs(rate) > most for tier in schedule.tiers for rate in tier[1:]):
        raise InvalidField("tiers", "hold a rate that is too large")
    if not 0 <= schedule.minimum <= MAX_NOTIONAL:
        raise InvalidField("minimum", "is negative or too large")
    if not 0 <= schedule.cap_bps <= 10_000:
        raise InvalidField("cap_bps", "is not between 0 and 10000")


def set_kill_switch(step: Step, cmd: SetKillSwitch) -> Reply:
    """Engage or release a kill switch; working orders are canceled by their own command."""
    if cmd.account_id is None:
        venue = step.desk.accounts.venue
        if cmd.engaged == venue.killed:
            return unchanged(step, {"engaged": cmd.engaged})
        venue.switch(step, cmd.engaged, cmd.reason)
        return done(step, {"engaged": cmd.engaged})
    account = step.desk.accounts.account(cmd.account_id)
    if cmd.engaged == account.killed:
        return unchanged(step, _named(account))
    account.switch(step, cmd.engaged, cmd.reason)
    return done(step, _named(account))


def set_pair_margin(step: Step, cmd: SetPairMargin) -> Reply:
    """Let two shares hedge each other at a rate, or no more; marks and positions stay."""
    markets, venue = step.desk.markets, step.desk.accounts.venue
    one, other = markets.named(cmd.symbol).instrument, markets.named(cmd.other_symbol).instrument
    if one.id == other.id:
        raise InvalidField("other_symbol", "is the same instrument")
    for field, instrument in (("symbol", one), ("other_symbol", other)):
        if instrument.is_option:
            raise InvalidField(field, "is an option, which is margined with its underlying")
    if not 0 <= cmd.bps <= WHOLE_BPS:
        raise InvalidField("bps", f"is not between 0 and {WHOLE_BPS}")
    told = {"symbol": one.symbol, "other_symbol": other.symbol, "bps": cmd.bps}
    rate = venue.paired(one.id, other.id)
    if rate == cmd.bps:
        return unchanged(step, told)
    if not rate and len(venue.pairs) >= MOST_PAIRS:
        raise InvalidField("symbol", f"would be of more than {MOST_PAIRS} pairs")
    venue.pair(step, one.id, other.id, cmd.bps)
    return done(step, told)


def check_margins(step: Step, cmd: CheckMargins) -> Reply:
    """Call margin accounts that fell below maintenance, and clear calls that are met."""
    desk = step.desk
    accounts = [desk.accounts.account(one) for one in cmd.account_ids] or desk.accounts.on_margin
    found = [account for account in accounts if call_changes(desk, account)]
    chosen = found[: max(1, min(cmd.limit, CHUNK))]
    for account in chosen:
        margin = desk.margin(account.id)
        account.call(step, equity(account, margin), margin.maintenance)
    return done(step, {"changed": len(chosen), "remaining": len(found) > len(chosen)})


def call_changes(desk: Desk, account: Account) -> bool:
    """Whether an account's margin call should begin, or end."""
    if not account.is_margin:
        return False
    margin = desk.margin(account.id)
    return (equity(account, margin) < margin.maintenance) != account.margin_called


def _named(account: Account) -> dict[str, str]:
    return {"account_id": str(account.id)}
