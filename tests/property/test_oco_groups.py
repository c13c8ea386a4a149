"""Groups live and die whole, whatever comes: fills, cancels, replaces, gaps, nights, crashes."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from application.commands import ReplaceOrder, Settle
from application.desk.desk import Desk
from application.desk.following import follow
from application.desk.state import state_hash
from application.log.ports import Recorded
from domain.events import OrderFilled
from domain.terms import Phase, SelfTrade, Side, TimeInForce, TriggerRule
from tests.model.desk_harness import VALUE_DATE, shares, wire
from tests.model.group_desk import GroupDesk

WHO = st.integers(0, 4)
SIDES = st.sampled_from([Side.BUY, Side.SELL])
# A few prices, close together: much trades, and steps pass several levels at once.
PRICES = st.integers(94, 106)
NEAR = st.integers(1, 5)
QTYS = st.integers(1, 12)
PICKS = st.integers(0, 10**6)
TIMES = st.sampled_from([TimeInForce.GTC, TimeInForce.GTC, TimeInForce.DAY])
SELF_TRADES = list(SelfTrade)


def around(at: int, up: int, down: int, *, long: bool) -> tuple[int, int]:
    """Take-profit and stop-loss of a long or a short position entered at a price."""
    return (at + up, at - down) if long else (at - up, at + down)


class Groups(RuleBasedStateMachine):
    """Cash and margin accounts with groups of all three classes in one lively instrument.

    The desk checks itself after every command: ledger, holds, reserves, groups against
    their own events, and a follower and a snapshot that must be equal.
    """

    @initialize(
        trigger=st.sampled_from(list(TriggerRule)),
        rich=st.booleans(),
        protection=st.sampled_from([50, 100, 300, 5_000]),
    )
    def begin(self, trigger: TriggerRule, rich: bool, protection: int) -> None:
        self.venue = venue = GroupDesk()
        terms = {"trigger_rule": int(trigger), "protection_bps": protection}
        venue.instrument(**terms, shortable=True, opened=False)
        venue.mark(100)
        venue.open()
        cash = 100_000 if rich else 2_000
        self.accounts: list[UUID] = [
            venue.account("cash", cash),
            venue.account("quick", cash, use_unsettled=True),
            venue.margin_account("margin", cash),
            venue.margin_account("short", cash),
            venue.account("market maker", 10_000_000),
        ]
        for account in (self.accounts[0], self.accounts[1], self.accounts[2]):
            venue.hold(account, 15)
        venue.hold(self.accounts[4], 10_000)

    # -- what clients do ---------------------------------------------------------------------

    @rule(who=WHO, side=SIDES, qty=QTYS, at=PRICES, up=NEAR, down=NEAR, tif=TIMES, how=PICKS)
    def oco(
        self,
        who: int,
        side: Side,
        qty: int,
        at: int,
        up: int,
        down: int,
        tif: TimeInForce,
        how: int,
    ) -> None:
        """Both exits round a price, the stop with a limit or without."""
        profit, stop = around(at, up, down, long=side == Side.SELL)
        limit = stop if how % 3 == 0 else None
        self.venue.oco(self.accounts[who], side, qty, profit, stop, stop_limit=limit, tif=tif)

    @rule(who=WHO, side=SIDES, qty=QTYS, at=PRICES, up=NEAR, down=NEAR, tif=TIMES, how=PICKS)
    def entry(
        self,
        who: int,
        side: Side,
        qty: int,
        at: int,
        up: int,
        down: int,
        tif: TimeInForce,
        how: int,
    ) -> None:
        """A bracket or an oto, its entry a limit, a market order or a stop."""
        profit, stop = around(at, up, down, long=side == Side.BUY)
        kinds: list[dict[str, Any]] = [{"limit": at}, {"limit": at}, {}, {"entry_stop": at}]
        terms = {"tif": tif, "self_trade": SELF_TRADES[how % 3], **kinds[how % 4]}
        account = self.accounts[who]
        if how % 10 == 0:
            self.venue.oto(account, side, qty, profit=profit, **terms)
        elif how % 10 == 5:
            self.venue.oto(account, side, qty, stop=stop, **terms)
        else:
            self.venue.bracket(account, side, qty, profit, stop, **terms)

    @rule(who=WHO, side=SIDES, qty=QTYS, price=PRICES, how=PICKS)
    def order(self, who: int, side: Side, qty: int, price: int, how: int) -> None:
        """An order of its own: mostly a limit, sometimes a market order or a stop."""
        account, self_trade = self.accounts[who], SELF_TRADES[how % 3]
        if how % 6 == 0:
            self.venue.place(account, side, qty, tif=TimeInForce.IOC, self_trade=self_trade)
        elif how % 6 == 1:
            self.venue.place(account, side, qty, stop=price, self_trade=self_trade)
        else:
            self.venue.place(account, side, qty, price, self_trade=self_trade)

    @rule(side=SIDES, qty=st.integers(5, 60), price=PRICES)
    def make(self, side: Side, qty: int, price: int) -> None:
        """The market maker gives or takes in size, through several levels at once."""
        self.venue.place(self.accounts[4], side, qty, price)

    def pick(self, which: int) -> Any:
        """A working order, a leg more often than not."""
        orders = list(self.venue.desk.orders.working.values())
        legs = [order for order in orders if order.leg]
        chosen = legs if legs and which % 4 else orders
        return chosen[which // 4 % len(chosen)] if chosen else None

    @rule(which=PICKS, whole=st.booleans())
    def cancel(self, which: int, whole: bool) -> None:
        """One leg, one order or a group by its id."""
        order = self.pick(which)
        if order is not None:
            target = order.group_id if whole and order.leg else order.id
            self.venue.cancel(order.account_id, target)

    @rule(
        which=PICKS,
        qty=st.none() | st.integers(1, 20),
        price=st.none() | PRICES,
        stop=st.booleans(),
    )
    def replace(self, which: int, qty: int | None, price: int | None, stop: bool) -> None:
        """Another quantity, another price, or both."""
        order = self.pick(which)
        if order is None:
            return
        venue = self.venue
        moved = None if price is None else wire(price)
        venue.send(
            ReplaceOrder(
                order.account_id,
                order.id,
                "",
                f"r{venue.number + 1}",
                None if qty is None else shares(qty),
                None if stop else moved,
                moved if stop else None,
            )
        )

    @rule(who=WHO, luck=st.integers(0, 5))
    def cancel_all(self, who: int, luck: int) -> None:
        """Now and then, everything an account has."""
        if not luck:
            self.venue.cancel_all(self.accounts[who])

    @rule(who=st.integers(2, 3), qty=st.integers(1, 40), price=PRICES)
    def leave(self, who: int, qty: int, price: int) -> None:
        """A margin account trades against its position, past its exits, with the maker."""
        place = self.accounts[who], self.venue.desk.markets.by_symbol["X"].instrument.id
        position = self.venue.desk.accounts.positions.get(place)
        if position is not None and position.qty:
            side, other = (Side.SELL, Side.BUY) if position.qty > 0 else (Side.BUY, Side.SELL)
            self.venue.place(self.accounts[4], other, qty, price)
            self.venue.place(self.accounts[who], side, qty, price)

    # -- what the venue does -----------------------------------------------------------------

    @rule(price=PRICES)
    def mark(self, price: int) -> None:
        """The mark moves, where it is the rule it elects."""
        self.venue.mark(price)

    @rule(luck=st.integers(0, 3))
    def halt_or_resume(self, luck: int) -> None:
        """Stop trading now and then, and go on through an auction."""
        phase = self.venue.desk.markets.by_symbol["X"].instrument.phase
        if phase == Phase.HALTED:
            self.venue.resume()
        elif not luck:
            self.venue.halt()

    @precondition(
        lambda self: self.venue.desk.markets.by_symbol["X"].instrument.phase == Phase.OPEN
    )
    @rule(side=SIDES, qty=QTYS, far=st.integers(101, 107), back=st.integers(93, 100))
    def gap(self, side: Side, qty: int, far: int, back: int) -> None:
        """An auction beyond one level, and a mark or a bid beyond the other."""
        maker, beyond = self.accounts[4], far if side == Side.BUY else 200 - far
        self.venue.halt()
        self.venue.place(maker, side, qty, beyond)
        self.venue.place(maker, side, 50, back if side == Side.BUY else 200 - back)
        self.venue.mark(back if side == Side.BUY else 200 - back)
        self.venue.resume()

    @rule(luck=st.integers(0, 3))
    def night(self, luck: int) -> None:
        """The session ends now and then; the next one opens through an auction."""
        phase = self.venue.desk.markets.by_symbol["X"].instrument.phase
        if phase == Phase.CLOSED:
            if luck:
                self.venue.expire()
            self.venue.open()
        elif not luck:
            self.venue.close()

    @precondition(lambda self: any(isinstance(e, OrderFilled) for e in self.venue.log))
    @rule(price=st.none() | PRICES)
    def undo(self, price: int | None) -> None:
        """The newest trade is busted or corrected."""
        if price is None:
            self.venue.bust_last()
        else:
            self.venue.correct_last(price)

    @rule()
    def settle(self) -> None:
        """What is owed settles; unpaid shares may be sold then."""
        self.venue.send(Settle(VALUE_DATE))

    @rule()
    def crash(self) -> None:
        """The writer is killed, and comes back from its log and a snapshot."""
        before = state_hash(self.venue.desk)
        self.venue.restart()
        assert before == state_hash(self.venue.desk)

    # -- what always holds -------------------------------------------------------------------

    @invariant()
    def exits_never_exceed_their_group(self) -> None:
        """Over all groups that ever were: what both exits traded is within the group."""
        for tally in self.venue.tallies.values():
            assert tally.exited <= tally.exit_qty
        assert 0 == sum(self.venue.ledger.values())

    def teardown(self) -> None:
        """A replay from the first event is the live state."""
        desk = Desk()
        follow(desk, [Recorded(n, event) for n, event in enumerate(self.venue.log, 1)])
        assert state_hash(self.venue.desk) == state_hash(desk)


FEW, MANY = 80, 1_000


@pytest.mark.parametrize(
    "examples", [FEW, pytest.param(MANY, marks=[pytest.mark.soak, pytest.mark.timeout(3600)])]
)
def test_oco_groups_stay_whole_whatever_comes(examples):
    """No orphan exit, no double fill, no share reserved twice, no cent lost; replay is live."""
    run_state_machine_as_test(
        Groups,
        settings=hypothesis_settings(
            max_examples=examples,
            stateful_step_count=50,
            deadline=None,
            derandomize=examples == FEW,
        ),
    )
