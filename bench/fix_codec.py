"""What it takes to read and to write a NewOrderSingle: ours beside simplefix, in one process.

`python -m bench.fix_codec` prints the figures of the implementation that the environment chooses.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable
from time import process_time
from timeit import repeat
from typing import Any

from bench.venue import plain_environment
from infrastructure import hot_modules

COMPILED, INTERPRETED = "compiled", "interpreted"
_TURNS = 7
_OURS, _THEIRS = 10_000, 1_000
_TIME = b"20261130-10:00:00.000"
_FIELDS: list[tuple[int, bytes]] = [
    (11, b"order-1234567"),
    (1, b"MAIN"),
    (21, b"1"),
    (55, b"ACME"),
    (54, b"1"),
    (60, _TIME),
    (38, b"100"),
    (40, b"2"),
    (44, b"101.25"),
    (59, b"0"),
]


def beside_simplefix(implementation: str) -> dict[str, float] | None:
    """Microseconds of one implementation and of simplefix; None where one is not here."""
    if importlib.util.find_spec("simplefix") is None:
        return None
    done = subprocess.run(
        [sys.executable, "-m", "bench.fix_codec"],
        env={**plain_environment(), hot_modules.IMPL_VARIABLE: implementation},
        stdout=subprocess.PIPE,
        check=True,
    )
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures if figures.pop("ran") == implementation else None


def _microseconds(work: Callable[[], object], times: int) -> float:
    """Of processor, the least of some turns: what others on the machine add is none of it."""
    return min(repeat(work, number=times, repeat=_TURNS, timer=process_time)) / times * 1e6


def _measured() -> dict[str, Any]:
    import simplefix

    from api.fix import codec

    head = codec.Head(b"CLIENT", b"NEXUS", 1234, _TIME)
    raw = codec.encode(head, b"D", _FIELDS)
    decoder, parser = codec.Decoder(), simplefix.FixParser()

    def parse() -> object:
        parser.append_buffer(raw)
        return parser.get_message()

    def encode() -> bytes:
        message = simplefix.FixMessage()
        message.append_pair(8, b"FIX.4.4")
        message.append_pair(35, b"D")
        message.append_pair(49, b"CLIENT")
        message.append_pair(56, b"NEXUS")
        message.append_pair(34, 1234)
        message.append_pair(52, _TIME)
        for tag, value in _FIELDS:
            message.append_pair(tag, value)
        return bytes(message.encode())

    assert encode() == raw, "both must write the same message"
    ours_parse = _microseconds(lambda: decoder.feed(raw), _OURS)
    ours_encode = _microseconds(lambda: codec.encode(head, b"D", _FIELDS), _OURS)
    parse_theirs, encode_theirs = _microseconds(parse, _THEIRS), _microseconds(encode, _THEIRS)
    return {
        "ran": codec.implementation(),
        "parse_us": round(ours_parse, 3),
        "encode_us": round(ours_encode, 3),
        "simplefix_parse_us": round(parse_theirs, 1),
        "simplefix_encode_us": round(encode_theirs, 1),
        "parse_times": round(parse_theirs / ours_parse, 1),
        "encode_times": round(encode_theirs / ours_encode, 1),
        "both_times": round((parse_theirs + encode_theirs) / (ours_parse + ours_encode), 1),
    }


def main() -> None:
    """Print the figures of the implementation that runs here, as one JSON line."""
    hot_modules.choose_implementation()
    print(json.dumps(_measured()))


if __name__ == "__main__":
    main()
