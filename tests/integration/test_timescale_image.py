"""The image of the production shape is the TimescaleDB that the suite runs against."""

from __future__ import annotations

import re
from pathlib import Path

import psycopg
import pytest

COMPOSED = Path(__file__).resolve().parents[2] / "docker-compose.yml"


@pytest.mark.timescale
def test_image_is_the_version_that_the_suite_runs_against(timescale: str) -> None:
    """Version of the extension, major version of the server, and the edition that compresses."""
    image = re.search(
        r"^ *image: timescale/timescaledb:([\d.]+)-pg(\d+)$", COMPOSED.read_text(), re.M
    )
    assert image is not None, "the production shape names an image of the full edition"
    with psycopg.connect(timescale) as conn:
        row = conn.execute(
            "SELECT extversion, current_setting('server_version_num')::int / 10000,"
            " current_setting('timescaledb.license')"
            " FROM pg_extension WHERE extname = 'timescaledb'"
        ).fetchone()

    assert (image[1], int(image[2]), "timescale") == row
