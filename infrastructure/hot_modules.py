"""Knows which modules may be compiled, which implementation of each runs, and how to choose."""

import importlib.machinery
import importlib.util
import os
import sys
from collections.abc import Sequence
from importlib.machinery import EXTENSION_SUFFIXES, ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Literal

# The one list of them. setup.py runs this file to read it: only the standard library here.
HOT_MODULES = (
    "domain.matching.auction",
    "domain.matching.book",
    "projections.market_data.fanout",
    "api.fix.codec",
)

# NEXUS_IMPL=interpreted runs the .py even where a compiled module stands beside it.
IMPL_VARIABLE = "NEXUS_IMPL"

ROOT = Path(__file__).resolve().parent.parent

Implementation = Literal["compiled", "interpreted", "absent"]


def source_of(name: str, root: Path = ROOT) -> Path:
    """The .py file of a module."""
    return root.joinpath(*name.split(".")).with_suffix(".py")


def compiled_files_of(name: str, root: Path = ROOT) -> list[Path]:
    """The compiled files of this Python that stand beside the .py, none or one as a rule."""
    source = source_of(name, root)
    candidates = (source.with_name(source.stem + suffix) for suffix in EXTENSION_SUFFIXES)
    return [path for path in candidates if path.exists()]


def stale_modules(root: Path = ROOT) -> list[str]:
    """Modules whose compiled file is older than the .py, so that an edit would not be seen."""
    return [
        name
        for name in HOT_MODULES
        if source_of(name, root).exists()
        for path in compiled_files_of(name, root)
        if path.stat().st_mtime < source_of(name, root).stat().st_mtime
    ]


def uncompiled_modules(root: Path = ROOT) -> list[str]:
    """Modules that have a .py and no compiled file beside it."""
    return [
        name
        for name in HOT_MODULES
        if source_of(name, root).exists() and not compiled_files_of(name, root)
    ]


def implementations() -> dict[str, Implementation]:
    """What an import of each hot module gives in this process."""
    return {name: _implementation(name) for name in HOT_MODULES}


def _implementation(name: str) -> Implementation:
    loaded = sys.modules.get(name)
    try:
        spec = loaded.__spec__ if loaded is not None else importlib.util.find_spec(name)
    except ModuleNotFoundError:
        return "absent"
    if spec is None or spec.origin is None:
        return "absent"
    return "compiled" if spec.origin.endswith(tuple(EXTENSION_SUFFIXES)) else "interpreted"


class SourceFinder:
    """Finds the .py of a hot module before anyone looks for a compiled file."""

    @classmethod
    def find_spec(
        cls, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name not in HOT_MODULES:
            return None
        source = source_of(name)
        if not source.exists():
            return None
        loader = importlib.machinery.SourceFileLoader(name, str(source))
        return importlib.util.spec_from_file_location(name, source, loader=loader)


def choose_implementation() -> None:
    """Do as the environment says, before the first hot module is imported."""
    wanted = os.environ.get(IMPL_VARIABLE) or "compiled"
    if wanted not in ("compiled", "interpreted"):
        raise SystemExit(f"{IMPL_VARIABLE} must be `compiled` or `interpreted`, not {wanted!r}")
    if wanted == "interpreted" and SourceFinder not in sys.meta_path:
        imported = [name for name in HOT_MODULES if name in sys.modules]
        assert not imported, f"too late to choose: {imported} are imported"
        sys.meta_path.insert(0, SourceFinder)


def main() -> None:
    """Remove stale compiled files; end with 1 when something is left to compile."""
    for name in stale_modules():
        for path in compiled_files_of(name):
            path.unlink()
    raise SystemExit(1 if uncompiled_modules() else 0)


if __name__ == "__main__":
    main()
