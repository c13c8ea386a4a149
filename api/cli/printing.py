"""What commands print: nothing from outside is markup in it, or moves a cursor."""

from __future__ import annotations

from typing import Any

import rich.table
import typer
from rich.text import Text

from infrastructure.log_lines import printable, printable_lines


class Table(rich.table.Table):
    """A table whose cells are text as it is: names are neither markup nor terminal sequences."""

    def add_row(self, *cells: Any, **options: Any) -> None:
        """Add a row; what is no text is shown by the library's own rules."""
        super().add_row(*map(_cell, cells), **options)


def _cell(cell: Any) -> Any:
    return Text(printable(cell)) if isinstance(cell, str) else cell


def tell(text: object) -> None:
    """Print lines of an answer to stdout."""
    print(printable_lines(text))


def warn(text: object) -> None:
    """Print what is no answer to stderr, so that --json stays one line."""
    typer.echo(printable_lines(text, indent="  "), err=True)
