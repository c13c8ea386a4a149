"""What the store says is told as what it means to a client."""

import psycopg
import pytest
from litestar import get
from litestar.testing import create_test_client

from api.http.errors import HANDLERS


@pytest.mark.parametrize(
    "said",
    [
        psycopg.errors.UndefinedTable("no projector has been here"),
        psycopg.errors.UndefinedColumn("a grown view is being rebuilt beside the old one"),
        psycopg.OperationalError("the server closed the connection"),
    ],
)
def test_views_that_cannot_be_read_yet_ask_to_try_again(said: Exception) -> None:
    """503 with Retry-After, and no fault of ours in the log."""

    @get("/orders")
    async def orders() -> None:
        raise said

    with create_test_client([orders], exception_handlers=HANDLERS) as client:
        answer = client.get("/orders")

    assert (503, "VENUE_UNAVAILABLE") == (answer.status_code, answer.json()["reason"])
    assert answer.headers["Retry-After"]


def test_what_nobody_expected_is_a_fault_of_ours() -> None:
    """A wrong query is 500, and its words stay inside."""

    @get("/orders")
    async def orders() -> None:
        raise psycopg.errors.SyntaxError("near SELECT")

    with create_test_client([orders], exception_handlers=HANDLERS) as client:
        answer = client.get("/orders")

    assert 500 == answer.status_code
    assert "SELECT" not in answer.text
