"""What `make` installs is said byte for byte, for every Python and system that is promised."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent.parent
PIN = re.compile(r"^(?P<name>[a-z0-9._-]+)==(?P<version>[^ ;\\]+)(?: ; (?P<marker>[^\\]+))?")
HASH = re.compile(r"^    --hash=sha256:[0-9a-f]{64}$")
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
SYSTEMS = ("linux", "darwin")


class Pin(NamedTuple):
    """One release in the lock file, where its marker holds."""

    name: str
    version: str
    marker: Marker | None
    hashes: int

    def is_for(self, environment: dict[str, str]) -> bool:
        """Whether it is installed on such a machine."""
        return self.marker is None or self.marker.evaluate(environment)


def pins() -> list[Pin]:
    """The lock file as it is; a line that is neither a release nor a hash fails."""
    found: list[Pin] = []
    for whole in (ROOT / "requirements.lock").read_text().splitlines():
        line = whole.removesuffix(" \\")
        said = PIN.match(line)
        if said is not None:
            marker = said["marker"]
            found.append(Pin(said["name"], said["version"], Marker(marker) if marker else None, 0))
        else:
            assert HASH.match(line), line
            found[-1] = found[-1]._replace(hashes=found[-1].hashes + 1)
    return found


def wanted() -> Iterator[Requirement]:
    """What this checkout, its tests and its building need."""
    said = tomllib.loads((ROOT / "pyproject.toml").read_text())
    yield from map(Requirement, said["project"]["dependencies"])
    yield from map(Requirement, said["project"]["optional-dependencies"]["test"])
    yield from map(Requirement, said["build-system"]["requires"])


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("python", PYTHONS)
def test_lock_file_has_one_release_in_the_range_of_each_that_is_needed(
    python: str, system: str
) -> None:
    """On every Python from 3.11 on: a range that was changed is locked anew by `make lock`."""
    environment = {
        "python_version": python,
        "python_full_version": f"{python}.0",
        "sys_platform": system,
        "platform_python_implementation": "CPython",
        "implementation_name": "cpython",
        "extra": "",
    }
    locked = [pin for pin in pins() if pin.is_for(environment)]
    for one in wanted():
        if one.marker is None or one.marker.evaluate(environment):
            found = [pin for pin in locked if pin.name == canonicalize_name(one.name)]
            assert 1 == len(found), (str(one), found)
            assert one.specifier.contains(found[0].version), (str(one), found)
    assert len({pin.name for pin in locked}) == len(locked)


def test_every_release_has_the_hashes_of_its_files_and_no_place_to_get_them_from() -> None:
    """Wherever a file comes from, it is this one or it is refused."""
    for pin in pins():
        assert pin.hashes, pin
    text = (ROOT / "requirements.lock").read_text()
    assert None is re.search(r"https?:|file:|--index|--find-links| @ ", text)


def test_make_installs_nothing_that_is_not_in_the_lock_file() -> None:
    """Both of its steps: the one that fetches asks for hashes, the other one fetches nothing."""
    recipe = (ROOT / "Makefile").read_text().partition(".installed:")[2].partition("touch")[0]
    steps = [line for line in recipe.splitlines() if "$(PIP)" in line]
    assert 2 == len(steps)
    assert "--require-hashes -r requirements.lock" in steps[0]
    assert all(word in steps[1] for word in ("--no-deps", "--no-build-isolation", "--no-index"))


def test_image_is_built_of_nothing_that_is_not_in_the_lock_file() -> None:
    """What is fetched is asked for by hash, and built of nothing; the rest is not fetched."""
    text = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
    steps = [line for line in text.splitlines() if re.search(r"\bpip\b", line)]
    assert 2 == len(steps)
    for word in ("--require-hashes", "--only-binary :all:", "-r requirements.lock"):
        assert word in steps[0]
    assert all(word in steps[1] for word in ("--no-index", "--find-links"))
