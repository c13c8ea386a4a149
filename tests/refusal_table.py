"""What is refused here, and what each refusal carries, as docs/refusals.md lists it.

`python -m tests.refusal_table` writes the table there. It is made from the rows of
`api/refusals.py` and from one refusal of each code, so that neither can say another thing.
"""

from __future__ import annotations

import inspect
import pkgutil
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any
from uuid import UUID

import domain
from api.refusals import SAYS, problem_document, refusal_of
from domain.errors import Rejection

DOCUMENT = Path(__file__).resolve().parent.parent / "docs" / "refusals.md"
BEGINS = "<!-- refusals: written by `python -m tests.refusal_table` -->"
ENDS = "<!-- end of refusals -->"

for _found in pkgutil.iter_modules(domain.__path__, "domain."):
    if _found.name.endswith("errors"):
        import_module(_found.name)

SAMPLES: dict[str, Any] = {
    "str": "x",
    "str | None": "x",
    "int": 1,
    "int | None": 1,
    "bool": True,
    "UUID": UUID(int=1),
    "dict[str, Any]": {},
    "Sequence[str]": ("x",),
}
"""A value of each type that refusals are made of."""


def sample(kind: type[Rejection]) -> Rejection:
    """A refusal of a kind, made of samples of what it judges."""
    wanted = list(inspect.signature(kind).parameters.values())
    named = [one for one in wanted if one.kind is not one.VAR_KEYWORD]
    assert {str(one.annotation) for one in named} <= SAMPLES.keys(), (
        f"{kind.__name__} is made of a type of which SAMPLES has no value"
    )
    values = {one.name: SAMPLES[str(one.annotation)] for one in named}
    if "code" in values:
        # The refusal that came first is one of ours, too.
        values["code"] = "INVALID_FIELD"
    return kind(**values)


def rows() -> Iterator[str]:
    """A row for each code, by status and then by name."""
    for code in sorted(SAYS, key=lambda code: (SAYS[code].status, code)):
        says = SAYS[code]
        told = problem_document(refusal_of(sample(Rejection.by_code[code])))
        carried = ", ".join(f"`{name}`" for name in told["details"])
        fix = f"{says.ord_rej_reason} | {says.cxl_rej_reason} | {says.business_reason}"
        named = f"{says.status} | {says.alpaca_code} | `{code}` | {says.title}"
        yield f"| {named} | {fix} | {carried} |"


def table() -> str:
    """All refusals."""
    return "\n".join(
        [
            "| status | `code` | `reason` | `title` | FIX 103 | 102 | 380 | `details` |",
            "| --- | --- | --- | --- | --- | --- | --- | --- |",
            *rows(),
        ]
    )


def with_table(text: str) -> str:
    """The document with the table as it is now."""
    before, begins, rest = text.partition(BEGINS)
    _, ends, after = rest.partition(ENDS)
    assert begins and ends, "the document lacks the marks that the table stands between"
    return f"{before}{begins}\n{table()}\n{ends}{after}"


if __name__ == "__main__":
    DOCUMENT.write_text(with_table(DOCUMENT.read_text()))
