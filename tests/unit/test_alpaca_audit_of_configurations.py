"""The audit finds orders that their account's owner ruled out, and closes that are none."""

from __future__ import annotations

import msgspec
import pytest

from domain import events as e
from tests.model.memory_audit import MemoryAuditSource
from tests.model.tampering import Tamper, altered, find, one_more, put, tampered


def suspended_for_good(source: MemoryAuditSource) -> int:
    """An account that was let go on stays suspended."""
    row, event = find(source, e.AccountConfigured, no_shorting=True)
    return put(source, row, msgspec.structs.replace(event, suspend_trade=True))


OF_OWN = {"symbol": "OWN", "side": 1, "qty": 8 * 10**8}
DAMAGE: list[tuple[str, str, Tamper]] = [
    ("kill_switches", "a suspension that stays", suspended_for_good),
    (
        "kill_switches",
        "a short sale that is not allowed",
        altered(e.AccountConfigured, "no_shorting", True, max_margin_multiplier=2),
    ),
    (
        "kill_switches",
        "a fraction that is not allowed",
        altered(e.OrderAccepted, "qty", one_more, **OF_OWN),
    ),
    (
        "hold_sizes",
        "leverage that was given up",
        altered(e.AccountConfigured, "max_margin_multiplier", 1, max_margin_multiplier=2),
    ),
    ("exits", "more closed than said", altered(e.CloseAllTaken, "closed", 0, canceled=1)),
    ("exits", "more canceled than was", altered(e.CloseAllTaken, "canceled", one_more)),
    ("exits", "fewer passed than closed", altered(e.CloseAllTaken, "passed_after", 0, closed=1)),
]


@pytest.mark.parametrize(
    ("check", "tamper"),
    [pytest.param(check, tamper, id=f"{check}: {what}") for check, what, tamper in DAMAGE],
)
def test_what_a_configuration_or_a_close_rules_out_is_found(check: str, tamper: Tamper) -> None:
    """Named by its check, at the event that was changed or after it."""
    report, position = tampered(tamper)

    found = [violation for violation in report.violations if violation.check == check]
    assert not report.ok
    assert found, report.violations
    assert position <= found[0].position
