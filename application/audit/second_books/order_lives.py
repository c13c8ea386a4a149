"""The life of an order, told a second time: where each event may lead it."""

from __future__ import annotations

LIFE: dict[str, dict[str, tuple[str, ...]]] = {
    "": {"accepted": ("new", "held"), "rejected": ("rejected",)},
    "held": {
        "adjusted": ("held", "new"),
        "replaced": ("held",),
        "canceled": ("canceled",),
        "expired": ("expired",),
    },
    "new": {
        "adjusted": ("new",),
        "trailed": ("new",),
        "triggered": ("new",),
        "replaced": ("new",),
        "filled": ("partial", "filled"),
        "canceled": ("canceled",),
        "expired": ("expired",),
    },
    "partial": {
        "adjusted": ("partial",),
        "replaced": ("partial",),
        "filled": ("partial", "filled"),
        "canceled": ("canceled",),
        "expired": ("expired",),
        "fill_busted": ("partial",),
        "fill_corrected": ("partial",),
    },
    "filled": {
        "fill_busted": ("filled",),
        "fill_corrected": ("filled",),
        "canceled": ("canceled",),
    },
    "canceled": {"fill_busted": ("canceled",), "fill_corrected": ("canceled",)},
    "expired": {"fill_busted": ("expired",), "fill_corrected": ("expired",)},
    "rejected": {},
}
"""Where an order may go: from a status, by an event, to one of these."""

STATUS_CODES = {
    0: "new", 1: "partial", 2: "filled", 4: "canceled", 8: "rejected", 9: "held", 12: "expired",
}  # fmt: skip
