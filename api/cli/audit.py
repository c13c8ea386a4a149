"""`nexus audit`: verify the whole store, follow one life through it, add up the ledger."""

from __future__ import annotations

import gc
import json
from typing import Annotated, Any

import typer
from rich.console import Console

from api.cli.exit_codes import Exit
from api.cli.printing import Table, tell
from api.cli.reading import ArchiveOption, Pace, opened_log, print_event, say
from application.audit.reconcile import Reconciliation
from application.audit.trail import Trail, UnknownId
from application.audit.trail import trail as find_trail
from application.audit.verify import Report
from application.audit.verify import verify as verify_log
from application.log.event_rendering import DecimalsOf, event_document, party
from domain.money import USD_SCALE, to_text
from infrastructure.log.audit_source import StoredCodec

app = typer.Typer(
    rich_markup_mode=None,
    no_args_is_help=True,
    help=(
        "Verify the log by a second bookkeeper, follow one life through it, add up the ledger.\n\n"
        "Exit codes: 0 well, 1 something is not as it should be or an id is not known, 2 a "
        "setting is wrong, 3 no server, 4 the schema and this program do not fit."
    ),
)

Json = Annotated[bool, typer.Option("--json", help="One line for machines.")]
PAGE = 10_000


@app.command("verify")
def verify(as_json: Json = False, archive: ArchiveOption = None) -> None:
    """Read every event once and check all rules of the books; end with 1 when one is broken."""
    gc.freeze()
    gc.set_threshold(200_000, 50, 50)
    with opened_log(archive) as log:
        pace = Pace("verifying", log.last_position(), show=not as_json)
        with pace:
            report = verify_log(log, StoredCodec(), progress=pace)
    if as_json:
        print(json.dumps({**_facts(report), "events_per_second": pace.rate}))
    else:
        _print_report(report, pace.rate)
    if not report.ok:
        raise typer.Exit(Exit.CHECK_FAILED)


def _facts(report: Report) -> dict[str, Any]:
    return {
        "ok": report.ok,
        "events": report.events,
        "commands": report.commands,
        "last_position": report.last_position,
        "checks_made": sum(check.looked for check in report.checks),
        "violations_found": sum(check.failed for check in report.checks),
        "checks": [check._asdict() for check in report.checks],
        "violations": [violation._asdict() for violation in report.violations],
    }


def _print_report(report: Report, rate: int) -> None:
    table = Table("check", "what it promises", "made", "broken", box=None)
    for check in report.checks:
        style = "red" if check.failed else ""
        row = (check.name, check.promise, f"{check.looked:,}", f"{check.failed:,}")
        table.add_row(*row, style=style)
    console = Console()
    console.print(table)
    for violation in report.violations:
        where = f"position {violation.position}" if violation.position else "-"
        tell(f"{where}: {violation.check}: {violation.message}")
    verdict = "all holds" if report.ok else "NOT ALL HOLDS"
    tell(f"{report.events:,} events of {report.commands:,} commands, {rate:,} events/s: {verdict}")


@app.command("trail")
def trail(
    identifier: Annotated[
        str,
        typer.Argument(
            metavar="ID",
            help="An order, a revision, a client order id, a group, a settlement, an account, a"
            " trade, a command, a key.",
        ),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="One line an event.")] = False,
    archive: ArchiveOption = None,
) -> None:
    """Show the linked life of what an id names, in order, with the cause of every step."""
    with opened_log(archive) as log:
        try:
            found = find_trail(log, identifier)
        except UnknownId:
            say(f"nothing in the log is named {identifier}")
            raise typer.Exit(Exit.CHECK_FAILED) from None
        if as_json:
            for position, event in found.events:
                print(json.dumps(event_document(position, event, log.price_decimals)))
            return
        _print_trail(found, log.price_decimals)


def _print_trail(found: Trail, decimals_of: DecimalsOf) -> None:
    tell(f"{found.kind} {found.id}: {len(found.events)} events")
    for position, event in found.events:
        cause = f"event {event.causation_id}" if event.causation_id else event.actor
        print_event(position, event, decimals_of, f"because of {cause}")


@app.command("reconcile")
def reconcile(as_json: Json = False, archive: ArchiveOption = None) -> None:
    """Add up the ledger of every party from the events, and hold it against the view of it;
    end with 1 unless all sums to zero and the two agree.
    """
    with opened_log(archive) as log:
        books = Reconciliation(log.ledger_view())
        last = log.last_position()
        with Pace("adding up", last, show=not as_json) as pace:
            after = 0
            while page := log.select(after, PAGE, topics=books.TOPICS):
                books.add(page)
                after = page[-1].position
                pace(after)
    if as_json:
        print(json.dumps(_sums(books)))
    else:
        _print_sums(books)
    if not books.ok:
        raise typer.Exit(Exit.CHECK_FAILED)


def _sums(books: Reconciliation) -> dict[str, Any]:
    rows = books.balances()
    return {
        "ok": books.ok,
        "events": books.events,
        "parties": len({row.party for row in rows}),
        "total": _usd(books.total),
        "ledger_sum": _usd(books.total),
        "unbalanced": books.unbalanced,
        "view_position": books.view_position,
        "ledgers": [
            {
                "ledger": row.ledger,
                "accounts": _usd(row.accounts),
                "house": _usd(row.house),
                "view": None if row.view is None else _usd(row.view),
                "differing": row.differing,
            }
            for row in books.totals()
        ],
        "balances": [
            {
                "party": party(row.party),
                "name": row.name,
                "ledger": row.ledger,
                "amount": _usd(row.amount),
            }
            for row in rows
        ],
    }


def _print_sums(books: Reconciliation) -> None:
    balances = Table("party", "ledger", box=None)
    balances.add_column("USD", justify="right")
    for row in books.balances():
        balances.add_row(row.name, row.ledger, _usd(row.amount))
    totals = Table("ledger", box=None)
    for name in ("accounts", "house", "view of both", "differing"):
        totals.add_column(name, justify="right")
    for total in books.totals():
        view = "-" if total.view is None else _usd(total.view)
        amounts = (_usd(total.accounts), _usd(total.house), view, str(total.differing))
        totals.add_row(total.ledger, *amounts, style="red" if total.differing else "")
    console = Console()
    console.print(balances)
    console.print(totals)
    where = books.view_position
    tell(
        "no view of the ledger is built: nexus projections run"
        if where is None
        else f"the view stands at position {where} and is compared there"
    )
    tell(f"{books.events:,} events with postings; all parties together: {_usd(books.total)} USD")
    for position in books.unbalanced[:20]:
        tell(f"position {position}: the postings do not sum to zero")


def _usd(cents: int) -> str:
    return to_text(cents, USD_SCALE)
