"""What a session may do with orders, as its template says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple
from uuid import UUID

from api.fix.ports import SessionId
from api.fix.settings.template import Away, Kind, SessionTemplate


class MarketDataTerms(NamedTuple):
    """What market data a session may ask for."""

    rate: int = 20
    """How often a second it is told what is new."""
    instruments: int = 100
    """Of how many instruments at a time; 0 is none."""
    rpt_seq: bool = False
    """Whether W and X say RptSeq(83), which FIX 4.4 does not have there."""


class SessionTerms(NamedTuple):
    """What the application reads of a session's template."""

    accounts: Mapping[str, UUID]
    """The accounts that it trades, by the label that Account(1) names them by; each has one."""
    drop_copy: bool = False
    """Whether it is told all of its accounts, whoever trades them, and sends nothing."""
    actor: str = ""
    """As whom its commands stand in the log."""
    list_tag: int = 0
    """A user-defined tag by which a list asks to be an oco or a bracket; 0 for none."""
    cancel_on_disconnect: bool = False
    status_after_seconds: int | None = None
    """After so long away it is told how its open orders stand instead of what they went through;
    None: it is always told all."""
    market_data: MarketDataTerms = MarketDataTerms()
    market_zone: str = "America/New_York"
    """Where the day ends that ExpireDate(432) names."""

    @classmethod
    def of(cls, template: SessionTemplate) -> SessionTerms:
        """What a template says of it."""
        return cls(
            template.accounts,
            drop_copy=template.kind is Kind.DROP_COPY,
            list_tag=template.list_tag or 0,
            cancel_on_disconnect=template.cancel_on_disconnect,
            market_data=MarketDataTerms(
                template.market_data.rate,
                template.market_data.instruments,
                template.market_data.rpt_seq,
            ),
            status_after_seconds=template.away_seconds if template.away is Away.STATUS else None,
        )

    def label_of(self, account_id: UUID) -> str:
        """What the session calls an account; empty for another's."""
        for label, known in self.accounts.items():
            if known == account_id:
                return label
        return ""


def door_of(session_id: SessionId) -> str:
    """The name under which a session's commands stand in the log: what it is owed is theirs."""
    return f"fix:{session_id}"


def actor_of(session_id: SessionId, terms: SessionTerms) -> str:
    """As whom a session's commands stand in the log."""
    return terms.actor or f"fix:{session_id.target}"
