"""A stop-loss that joins the waiting stops in the middle of a step: only what follows counts."""

from domain.terms import OrderStatus, Side
from tests.model.group_desk import group_desk

BUY, SELL = Side.BUY, Side.SELL


def test_a_stop_loss_is_not_met_by_what_its_entry_traded_before_it_waited():
    """A market entry that sweeps upwards leaves its first, lower prices behind."""
    desk = group_desk()
    desk.place(desk.b, SELL, 10, 100)
    desk.place(desk.b, SELL, 10, 103)
    desk.place(desk.b, BUY, 20, 99)

    reply = desk.bracket(desk.a, BUY, 20, 110, 102)

    stop = desk.order(desk.legs(reply).stop_loss)
    assert [] == desk.elections()
    assert (True, OrderStatus.HELD) == (stop.armed, stop.status)
    other = desk.account("other")
    desk.hold(other, 1)
    desk.place(other, SELL, 1, 99)
    assert [99_0000] == [seen for _, _, seen in desk.elections()]


def test_a_stop_loss_sees_what_trades_after_it_waits_in_the_same_step():
    """The price that elects it is the first bad one since it was there, not an older one."""
    desk = group_desk()
    desk.place(desk.b, BUY, 50, 99)
    desk.place(desk.b, SELL, 10, 100)
    desk.place(desk.b, SELL, 10, 103)
    # Elected by the sweep, it sells down to 99 while the bracket's stop waits already.
    other = desk.account("other")
    desk.hold(other, 5)
    desk.place(other, SELL, 5, stop=101)

    desk.bracket(desk.a, BUY, 20, 110, 102)

    assert [100_0000, 99_0000] == [seen for _, _, seen in desk.elections()]
