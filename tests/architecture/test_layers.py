"""The direction of imports, held by import-linter."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent

LINT = "import sys; sys.path.insert(0, '.'); from importlinter.cli import lint_imports_command as c"


def lint_imports(cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run import-linter in a directory."""
    return subprocess.run(
        [sys.executable, "-c", f"{LINT}; c()", "--no-cache", *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )


def test_imports_go_one_way() -> None:
    """api → migrations → infrastructure | projections → application → domain, and never back."""
    said = lint_imports(ROOT)

    assert said.returncode == 0, said.stdout + said.stderr


def test_import_against_the_direction_is_seen(tmp_path: Path) -> None:
    """The contracts bite: a domain that imports a driver or an outer layer breaks two of them."""
    for package in (
        *("domain", "application", "infrastructure", "projections"),
        *("api", "migrations", "bench"),
    ):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").touch()
    (tmp_path / "domain" / "wrong.py").write_text("import time\nimport application\n")
    (tmp_path / "projections" / "wrong.py").write_text("import infrastructure\n")
    (tmp_path / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text())

    said = lint_imports(tmp_path)

    assert said.returncode == 1, said.stdout + said.stderr
    for wrong in (
        "domain is not allowed to import application",
        "domain is not allowed to import time",
        "projections is not allowed to import infrastructure",
    ):
        assert wrong in said.stdout
