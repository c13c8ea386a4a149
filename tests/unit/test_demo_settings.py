"""The demo's store: gone on with when it can be, begun anew, visibly, when it cannot."""

from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from api.demo.run import settings_for


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the demo keeps its store."""
    monkeypatch.setenv("NEXUS_DATA_DIR", str(tmp_path))
    return tmp_path / "demo"


def told(*, reset: bool = False) -> tuple[str, str]:
    """What a start says, and the operator's secret it uses."""
    said = Console(file=StringIO(), width=500)
    settings = settings_for(None, reset=reset, console=said)
    assert settings.admin_key is not None
    return said.file.getvalue(), settings.admin_key.get_secret_value()


def test_a_second_demo_goes_on_with_the_first(home: Path) -> None:
    """Same store, same operator, and it says so."""
    _, secret = told()
    (home / "kept").touch()

    said, again = told()

    assert "Going on with" in said
    assert secret == again and (home / "kept").exists()


@pytest.mark.parametrize("written_as", [None, "1"])
def test_a_demo_of_another_version_is_begun_anew(home: Path, written_as: str | None) -> None:
    """Its log would not hold by today's rules: it is removed, and the reason is said."""
    _, secret = told()
    (home / "old").touch()
    (home / "format").unlink()
    if written_as is not None:
        (home / "format").write_text(written_as)

    said, again = told()

    assert "made by another version" in said and "Going on with" not in said
    assert secret != again and not (home / "old").exists()


def test_reset_begins_anew(home: Path) -> None:
    """On request, whatever stands there."""
    _, secret = told()

    said, again = told(reset=True)

    assert "Starting anew" in said
    assert secret != again
