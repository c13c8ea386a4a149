"""The table of alpaca-py's methods in docs/api.md says what the acceptance tests show."""

from __future__ import annotations

from tests.acceptance.methods import (
    DOCUMENT,
    UNSHOWN,
    Shown,
    acceptance_tests,
    known_methods,
    said_in,
    table,
    with_table,
)
from tests.alpaca_py import TradingClient, TradingStream


def test_table_of_alpaca_methods_is_what_the_tests_show() -> None:
    """Whoever adds, renames or drops a test runs `python -m tests.acceptance.methods`."""
    written = DOCUMENT.read_text()

    assert with_table(written, table(acceptance_tests())) == written


def test_every_acceptance_test_says_which_alpaca_method_it_shows() -> None:
    """A test through alpaca-py is decorated with `shows`, so that the table has it."""
    assert [] == [name for name, said in acceptance_tests().items() if not said]


def test_what_is_shown_is_a_method_of_an_alpaca_client() -> None:
    """A method that is misspelt, or gone from alpaca-py, would be in no row."""
    said = {shown.method for tests in acceptance_tests().values() for shown in tests}

    assert set() == said - set(known_methods())


def test_table_has_a_row_for_every_public_method_of_both_alpaca_clients() -> None:
    """None can be missing: those without a test are said to have none."""
    methods = known_methods()

    assert len(methods) == len(set(methods)), "a name stands for two methods"
    assert {"submit_order", "close_all_positions", "get_option_contract"} <= set(methods)
    assert {"subscribe_trade_updates", "run", "stop", "stop_ws", "close"} <= set(methods)
    for client in (TradingClient, TradingStream):
        own = {name for name in vars(client) if not name.startswith("_")}
        assert own <= set(methods)
    shown = table({"test_it": [Shown("close", "the socket is closed", "test_it")]})
    rows = shown.splitlines()[2:]
    assert [f"| `{method}` |" for method in methods] == [
        row[: row.find("|", 1) + 1] for row in rows
    ]
    assert "| `close` | the socket is closed | `test_it` |" in rows
    assert len(methods) - 1 == sum(UNSHOWN in row for row in rows)


def test_decorators_are_read_from_the_source() -> None:
    """A test may show several methods; what is no test and no `shows` counts for nothing."""
    source = """
@shows("get_clock", "open")
@pytest.mark.slow
@shows("get_asset", "by id " "and symbol")
def test_one(): ...

@fixture
def test(): ...

async def test_other(): ...
"""
    assert [
        (
            "test_one",
            [
                Shown("get_clock", "open", "test_one"),
                Shown("get_asset", "by id and symbol", "test_one"),
            ],
        ),
        ("test_other", []),
    ] == list(said_in(source))
