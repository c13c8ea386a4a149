"""What every benchmark says beside its figures: machine, mix, what is left out, goals."""

from __future__ import annotations

import json
import os
import platform
import sys
import textwrap
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from infrastructure.hot_modules import implementations

Progress = Callable[[str], object]


def say(text: str) -> None:
    """Tell whoever waits what is being measured; standard output is for the result."""
    print(f"  {text}", file=sys.stderr, flush=True)


def machine() -> dict[str, Any]:
    """The machine this ran on, and how busy it was."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "load_before": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "hot_modules": implementations(),
    }


def goal(name: str, value: float, wanted: float, *, at_most: bool = False) -> dict[str, Any]:
    """One goal: met when the value reaches what is wanted, or stays at or below it."""
    met = value <= wanted if at_most else value >= wanted
    return {"name": name, "value": value, "goal": wanted, "met": met}


def percentile(values: Sequence[float], share: float) -> float:
    """The value at a share (0 to 1) of sorted values; 0 of none."""
    if not values:
        return 0.0
    return values[min(len(values) - 1, int(len(values) * share))]


def latencies_of(seconds: Iterable[float]) -> dict[str, float]:
    """How long something took, in milliseconds."""
    ordered = sorted(seconds)
    return {
        "p50_ms": round(percentile(ordered, 0.5) * 1e3, 3),
        "p99_ms": round(percentile(ordered, 0.99) * 1e3, 3),
        "p999_ms": round(percentile(ordered, 0.999) * 1e3, 3),
        "max_ms": round(ordered[-1] * 1e3, 3) if ordered else 0.0,
    }


def show(name: str, result: dict[str, Any], *, as_json: bool) -> int:
    """Print a result, one line for machines or a table for people; 1 when a goal is missed."""
    if as_json:
        print(json.dumps({"bench": name, **result}))
    else:
        _print_table(name, result)
    return 0 if all(entry["met"] for entry in result["goals"]) else 1


def _print_table(name: str, result: dict[str, Any]) -> None:
    print(f"{name}")
    for key, value in result["figures"].items():
        _print_figure(key, value, "  ")
    for entry in result["goals"]:
        verdict = "met" if entry["met"] else "MISSED"
        print(f"  goal {entry['name']:55} {entry['value']:g} of {entry['goal']:g}: {verdict}")
    print(f"  machine: {result['machine']}")
    print(f"  mix: {result['mix']}")
    if "turns" in result:
        print(f"  turns: {result['turns']}")
    print(f"  left out: {result['left_out']}")


def _print_figure(key: str, value: Any, margin: str) -> None:
    """One figure a line; what belongs together stands beneath its name."""
    if not isinstance(value, dict):
        print(f"{margin}{key:44} {value}")
        return
    plain = {name: part for name, part in value.items() if not isinstance(part, dict)}
    print(f"{margin}{key}")
    if plain:
        line = ", ".join(f"{name} {part}" for name, part in plain.items())
        print(textwrap.fill(line, 100, initial_indent=margin * 2, subsequent_indent=margin * 2))
    for name, part in value.items():
        if isinstance(part, dict):
            _print_figure(name, part, margin * 2)
