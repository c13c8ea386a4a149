"""Set what accounts may do and pay: policies, commissions, kill switches, margin calls."""

from __future__ import annotations

from application.commands import (
    CheckMargins,
    Reply,
    SetAccountPolicy,
    SetCommissionSchedule,
    SetKillSwitch,
)
from application.desk.desk import Desk
from domain.account import Account
from domain.commission import MAX_BPS_RATE, MAX_PER_SHARE_RATE, Kind, Schedule
from domain.decision import Decision
from domain.errors import InvalidField
from domain.margin import equity
from domain.risk import MAX_NOTIONAL

MAX_TIERS = 20
CHUNK = 200


def set_account_policy(desk: Desk, decision: Decision, cmd: SetAccountPolicy, _: bytes) -> Reply:
    """Say whether unsettled proceeds may buy."""
    account = desk.account(cmd.account_id)
    if cmd.use_unsettled == account.use_unsettled:
        return _unchanged(desk, account)
    account.set_policy(decision, cmd.use_unsettled)
    return _changed(decision, account)


def set_commission_schedule(
    desk: Desk, decision: Decision, cmd: SetCommissionSchedule, _: bytes
) -> Reply:
    """Say what trades cost from now on; orders under way go on under it."""
    account = desk.account(cmd.account_id)
    schedule = Schedule(cmd.kind, cmd.tiers, cmd.minimum, cmd.cap_bps)
    _check_schedule(schedule)
    if schedule == account.commission_schedule:
        return _unchanged(desk, account)
    account.set_schedule(decision, schedule)
    return _changed(decision, account)


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


def set_kill_switch(desk: Desk, decision: Decision, cmd: SetKillSwitch, _: bytes) -> Reply:
    """Engage or release a kill switch; working orders are canceled by their own command."""
    if cmd.account_id is None:
        if cmd.engaged == desk.venue.killed:
            return Reply(desk.position, result={"engaged": cmd.engaged}, duplicate=True)
        desk.venue.switch(decision, cmd.engaged, cmd.reason)
        return Reply(decision.last_position(), result={"engaged": cmd.engaged})
    account = desk.account(cmd.account_id)
    if cmd.engaged == account.killed:
        return _unchanged(desk, account)
    account.switch(decision, cmd.engaged, cmd.reason)
    return _changed(decision, account)


def check_margins(desk: Desk, decision: Decision, cmd: CheckMargins, _: bytes) -> Reply:
    """Call margin accounts that fell below maintenance, and clear calls that are met."""
    accounts = [desk.account(one) for one in cmd.account_ids] or desk.margin_accounts
    found = [account for account in accounts if call_changes(desk, account)]
    chosen = found[: max(1, min(cmd.limit, CHUNK))]
    for account in chosen:
        margin = desk.margin(account.id)
        account.call(decision, equity(account, margin), margin.maintenance)
    return Reply(
        decision.last_position() if chosen else desk.position,
        result={"changed": len(chosen), "remaining": len(found) > len(chosen)},
    )


def call_changes(desk: Desk, account: Account) -> bool:
    """Whether an account's margin call should begin, or end."""
    if not account.is_margin:
        return False
    margin = desk.margin(account.id)
    return (equity(account, margin) < margin.maintenance) != account.margin_called


def _changed(decision: Decision, account: Account) -> Reply:
    return Reply(decision.last_position(), result={"account_id": str(account.id)})


def _unchanged(desk: Desk, account: Account) -> Reply:
    return Reply(desk.position, result={"account_id": str(account.id)}, duplicate=True)
