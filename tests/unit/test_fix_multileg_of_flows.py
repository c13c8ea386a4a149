"""Every event of a multi-leg order in a lively market is a message of FIX 4.4, once and again."""

from __future__ import annotations

import asyncio

from api.fix.application.rendering import Owed, Reports
from api.fix.application.reports import TOPICS
from api.fix.application.terms import SessionTerms
from api.fix.ports import Body
from application.log.ports import Recorded
from domain.events import MultiLegEvent, OrderEvent
from domain.identifiers import NO_ID
from tests.model.audited_flow import audited
from tests.model.fix_venue import is_fix_44, said


def test_fix_multileg_events_of_a_flow_are_told_whole_and_again() -> None:
    """To a drop copy: each event one message, which says what the log says; the same from scratch,
    with nothing remembered.
    """
    log = audited(5, 300).log
    events = [Recorded(n, event) for n, event in enumerate(log.events(), 1)]
    told = [
        one
        for one in events
        if isinstance(one.event, MultiLegEvent | OrderEvent) and one.event.TOPIC in TOPICS
    ]
    session = Owed("fix:nobody", SessionTerms({"A": NO_ID}, drop_copy=True))

    async def bodies(remembered: int, wanted: list[Recorded]) -> list[Body]:
        reports = Reports(log, remembered)
        found = []
        for one in wanted:
            (report,) = await reports.of(one, [session])
            assert report is not None and report.source.position == one.position
            found.append(report.body)
        return found

    own = [one for one in told if isinstance(one.event, MultiLegEvent)]
    first = asyncio.run(bodies(1_000, told))
    mine = [
        body for one, body in zip(told, first, strict=True) if isinstance(one.event, MultiLegEvent)
    ]

    assert all(map(is_fix_44, mine))
    assert {"0", "4", "5", "8", "C", "D", "F"} == {said(one)[150] for one in mine}
    assert mine == asyncio.run(bodies(0, own))
