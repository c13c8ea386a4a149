"""What the session layer and the application read of a template, in their own words."""

from __future__ import annotations

from api.fix.ports import KeyShown, Rate, SessionRules, Window
from api.fix.settings.schedule import Span
from api.fix.settings.template import OverRate, SessionTemplate


def rules_of(
    template: SessionTemplate, span: Span | None, key: KeyShown | None = None
) -> SessionRules:
    """What is asked of a client that logs on within a span of its schedule."""
    resets = template.resets
    opened = span is not None and template.schedule is not None and template.schedule.resets
    return SessionRules(
        session_id=template.session_id,
        key=key,
        heartbeat_least=template.heartbeat.least,
        heartbeat_most=template.heartbeat.most,
        latency_seconds=template.latency_seconds,
        toggles=template.validation,
        reset_on_logon=resets.on_logon,
        reset_on_logout=resets.on_logout,
        reset_on_disconnect=resets.on_disconnect,
        reset_by_client=resets.by_client,
        window=None if span is None else Window(span.begins if opened else 0, span.ends),
        rate=Rate(template.rate.messages, template.rate.window_ms / 1_000),
        rate_by_report=template.rate.answer is OverRate.EXECUTION_REPORT,
        high_water_bytes=template.high_water,
        slow_seconds=template.slow_seconds,
    )
