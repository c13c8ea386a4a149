"""The command line: finds sub-commands by name and turns known failures into exit codes."""

import importlib
import importlib.util
import sys
from typing import Any

import typer
from rich.console import Console
from typer.core import TyperGroup

from api.cli import leaving
from api.cli.exit_codes import Exit
from application.log.ports import ArchiveError, UnreadableEvent
from domain.money import use_exact_decimals
from infrastructure.database import (
    BinariesMissing,
    NotDurable,
    RolesUnavailable,
    ServerFailed,
    SocketPathTooLong,
    StoreUnavailable,
    UnsafeDirectory,
)
from infrastructure.hot_modules import choose_implementation
from infrastructure.log.stores import StoreUnreachable
from infrastructure.log_lines import printable_lines
from infrastructure.settings import SettingsError
from migrations.runner import MigrationError

# In the order of the help. A module api/cli/<name>.py (with _ for -) gives either `app`, a Typer
# with sub-commands of its own, or `command`, one function.
COMMANDS = (
    "demo",
    "serve",
    "db",
    "projections",
    "replay",
    "audit",
    "events",
    "archive",
    "timescale",
    "report",
    "settlement",
    "fix",
    "keys",
    "replay-market",
    "simulate",
    "bench",
    "version",
)

EXIT_CODES: dict[type[Exception], Exit] = {
    SettingsError: Exit.USAGE,
    SocketPathTooLong: Exit.USAGE,
    UnsafeDirectory: Exit.USAGE,
    BinariesMissing: Exit.STORE_UNAVAILABLE,
    NotDurable: Exit.STORE_UNAVAILABLE,
    RolesUnavailable: Exit.STORE_UNAVAILABLE,
    ServerFailed: Exit.STORE_UNAVAILABLE,
    StoreUnavailable: Exit.STORE_UNAVAILABLE,
    StoreUnreachable: Exit.STORE_UNAVAILABLE,
    MigrationError: Exit.MIGRATION,
    UnreadableEvent: Exit.MIGRATION,
    ArchiveError: Exit.CHECK_FAILED,
}


def module_of(name: str) -> str:
    """The module behind a sub-command."""
    return "api.cli." + name.replace("-", "_")


class SubCommands(TyperGroup):
    """Imports a sub-command when it is asked for, so that the others cost nothing."""

    def list_commands(self, ctx: Any) -> list[str]:
        return [name for name in COMMANDS if importlib.util.find_spec(module_of(name)) is not None]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in self.list_commands(ctx):
            return None
        module = importlib.import_module(module_of(cmd_name))
        app = getattr(module, "app", None)
        if app is None:
            app = typer.Typer(rich_markup_mode=None)
            app.command(cmd_name)(module.command)
        found = typer.main.get_command(app)
        found.name = cmd_name
        # Only `nexus` itself completes; Typer gives these options to everything it builds.
        found.params = [p for p in found.params if not str(p.name).endswith("_completion")]
        return found

    def invoke(self, ctx: Any) -> Any:
        """Run a sub-command; one that is interrupted says so and ends with its code."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            leaving.leave_in_peace()
            leaving.say_left()
            raise typer.Exit(leaving.code_when_asked()) from None


app = typer.Typer(
    cls=SubCommands, rich_markup_mode=None, no_args_is_help=True, pretty_exceptions_enable=False
)


@app.callback()
def nexus() -> None:
    """NexusTrade: a trading venue whose every decision is an event.

    Asked to leave, by Ctrl-C or SIGTERM, serve and demo end with 0, all others with 130.
    """
    # The sub-command is loaded; now it works.
    leaving.be_interrupted()


def run() -> None:
    """Run the command line of this process."""
    choose_implementation()
    use_exact_decimals()
    try:
        app(prog_name="nexus")
    except tuple(EXIT_CODES) as failure:
        console = Console(stderr=True, soft_wrap=True)
        # What a setting or a path holds stands within a line of ours.
        text = printable_lines(failure, "" if isinstance(failure, SettingsError) else "  ")
        console.print(text, style="red", markup=False, highlight=False)
        sys.exit(exit_code_of(failure))


def exit_code_of(failure: Exception) -> Exit:
    """The exit code of a known failure."""
    return next(code for kind, code in EXIT_CODES.items() if isinstance(failure, kind))
