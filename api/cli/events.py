"""`nexus events`: the log as it is written, with amounts as decimals and names for codes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated
from uuid import UUID

import typer

from api.cli.exit_codes import Exit
from api.cli.printing import tell
from api.cli.reading import ArchiveOption, opened_log, print_event, say
from application.log.event_rendering import event_document
from application.log.ports import Recorded
from domain.events import DomainEvent
from domain.upcasts import UPCASTS
from infrastructure.log.archive_log import ArchiveReader
from infrastructure.log.reader import LogReader

app = typer.Typer(
    rich_markup_mode=None,
    no_args_is_help=True,
    help=(
        "Read the log.\n\n"
        "Exit codes: 0 well, 1 there is no such event, 2 a setting or an option is wrong, 3 no "
        "server, 4 the schema and this program do not fit."
    ),
)
PAGE = 1_000


@app.command("list")
def list_events(
    after: Annotated[int, typer.Option(help="Only positions above this one.", min=0)] = 0,
    limit: Annotated[int, typer.Option(help="At most so many.", min=1)] = 50,
    topic: Annotated[
        str | None,
        typer.Option(help="A topic, or how topics begin, such as order.", show_default=False),
    ] = None,
    account: Annotated[
        UUID | None, typer.Option(help="Events that concern an account.", show_default=False)
    ] = None,
    order: Annotated[
        UUID | None, typer.Option(help="Events of an order.", show_default=False)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One line an event.")] = False,
    archive: ArchiveOption = None,
) -> None:
    """Show events by position."""
    topics = _topics(topic)
    with opened_log(archive) as log:
        shown = 0
        while shown < limit:
            page = log.select(
                after,
                min(PAGE, limit - shown),
                topics=topics,
                account_id=account,
                order_id=order,
            )
            if not page:
                break
            shown += len(page)
            after = page[-1].position
            _put(log, page, as_json)


@app.command("show")
def show(
    position: Annotated[int, typer.Argument(help="A position of the log.", min=1)],
    as_json: Annotated[bool, typer.Option("--json", help="One line for machines.")] = False,
    archive: ArchiveOption = None,
) -> None:
    """Show one event whole."""
    with opened_log(archive) as log:
        found = log.read(position - 1, 1)
        if not found or found[0].position != position:
            say(f"the log has no position {position}; its last one is {log.last_position()}")
            raise typer.Exit(Exit.CHECK_FAILED)
        document = event_document(position, found[0].event, log.price_decimals)
    tell(json.dumps(document) if as_json else json.dumps(document, indent=2, ensure_ascii=False))


def _topics(beginning: str | None) -> list[str]:
    if beginning is None:
        return []
    found = [name for name in (*DomainEvent.by_topic, *UPCASTS) if name.startswith(beginning)]
    if not found:
        raise typer.BadParameter(
            f"no topic begins with {beginning!r}; there are {', '.join(DomainEvent.by_topic)}"
        )
    return found


def _put(log: LogReader | ArchiveReader, page: Sequence[Recorded], as_json: bool) -> None:
    for position, event in page:
        if as_json:
            print(json.dumps(event_document(position, event, log.price_decimals)))
        else:
            print_event(position, event, log.price_decimals, f"by {event.actor}")
