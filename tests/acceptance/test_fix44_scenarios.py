"""The FIX session test cases, played over real sockets from `tests/acceptance/fix44/`."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fix_scenario import Theatre, read_scenario

FILES = sorted((Path(__file__).parent / "fix44").glob("*.txt"))


@pytest.fixture(scope="module")
def stage() -> Iterator[tuple[asyncio.Runner, Theatre]]:
    """One acceptor for all of them, and the loop that it runs on."""
    with asyncio.Runner() as runner:
        theatre = Theatre()
        runner.run(theatre.open())
        yield runner, theatre
        runner.run(theatre.acceptor.stop())


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_session_goes_as_written(stage: tuple[asyncio.Runner, Theatre], path: Path) -> None:
    """Each line that comes is the one that the file says, and nothing else comes between."""
    runner, theatre = stage
    runner.run(asyncio.wait_for(theatre.play(read_scenario(path)), 20))


def test_scenarios_are_many_and_cover_every_session_test_case() -> None:
    """From 1 to 20 of FIX 4.4's session test cases, as far as they concern who is called."""
    cases = {path.stem.split("_")[0] for path in FILES}

    assert len(FILES) >= 60
    assert {"1a", "1b", "1c", "1d", "1e"} <= cases
    assert {f"2{letter}" for letter in "abcdefgikmoqrt"} <= cases
    assert {"3b", "3c", "4a", "4b", "5", "6", "7", "8", "12", "13", "16", "18", "19", "20"} <= cases
    assert {f"14{letter}" for letter in "abcdefghi"} <= cases


def test_scenario_that_is_not_as_written_fails(
    stage: tuple[asyncio.Runner, Theatre], tmp_path: Path
) -> None:
    """The lines bite: another value, another message, silence and a connection that stays open."""
    runner, theatre = stage
    begin = "# A.\nI> 35=A|34=1|98=0|108=30\n"
    good = "E> 35=A|34=1|98=0|108=30\n"
    for place, wrong in enumerate(
        [
            "E> 35=A|34=1|98=0|108=31\n",
            "E> closed\n",
            "quiet\n",
            good + "I> 35=1|34=2|112=A\nquiet\n",
            good + "I> 35=5|34=2\nE> closed\n",
        ]
    ):
        path = tmp_path / f"wrong{place}.txt"
        path.write_text(begin + wrong)
        with pytest.raises(AssertionError):
            runner.run(theatre.play(read_scenario(path)))
