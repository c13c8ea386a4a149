"""What a process of the venue gets of its starter's environment: what it needs, and no more."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from pydantic import SecretStr

from infrastructure.hot_modules import IMPL_VARIABLE
from infrastructure.settings import PREFIX, Settings

SOURCES = str(Path(__file__).parents[2])

KEPT = (
    *("PATH", "HOME", "LANG", "LANGUAGE", "TZ", "TMPDIR", "COLUMNS", "TERM", "NO_COLOR"),
    *("LD_LIBRARY_PATH", "SSL_CERT_FILE", "SSL_CERT_DIR", "XDG_DATA_HOME", "XDG_RUNTIME_DIR"),
    *("PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX", "PYTHONWARNINGS", "PYTHONFAULTHANDLER"),
    *("PGAPPNAME", "PGSSLROOTCERT", "PGSSLMODE", "PGPASSFILE", "PGSERVICEFILE", IMPL_VARIABLE),
)
"""No secret is among them: neither another program's nor the password of a database."""
KEPT_BEGINNING = ("LC_", "COVERAGE_", "COV_CORE_")


def environment_of(variables: Mapping[str, str]) -> dict[str, str]:
    """The environment of a process with these variables of ours."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in KEPT or name.startswith(KEPT_BEGINNING)
    }
    # A module in the working directory is not taken for one of ours, nor by what it starts.
    return {**kept, **variables, "PYTHONPATH": SOURCES, "PYTHONSAFEPATH": "1"}


def place_of_work() -> str | None:
    """Where a process is to be started: here, or where there is something if here is gone."""
    try:
        os.getcwd()
    except OSError:
        return "/"
    return None


def variables_of(settings: Settings) -> dict[str, str]:
    """The variables that these settings are read from again."""
    values: dict[str, str] = {}
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if value is None:
            continue
        if isinstance(value, SecretStr):
            value = value.get_secret_value()
        elif isinstance(value, dict | list | tuple):
            value = settings.model_dump_json(include={name})[len(name) + 4 : -1]
        values[PREFIX + name.upper()] = str(value)
    return values
