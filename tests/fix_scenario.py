"""Plays FIX sessions that are written down as text: what a client sends, what it gets.

A scenario is a file of lines; `tests/README.md` tells their form.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from api.fix.codec import Clock52, Decoder, Garbled, Message, checksum
from api.fix.ports import Rate, SessionId, SessionRules, Window
from api.fix.session.acceptor import Acceptor, AcceptorLimits
from api.fix.session.memory import MemorySessionStore
from api.fix.session.words import BUSINESS_REJECT, SESSION_MESSAGES
from api.fix.settings.template import Validation
from api.fix.validation import validate
from tests.fix_session import EchoApplication, OpenDoor, SetTimes, fields_of

VENUE = "VENUE"
SOON = 5.0
"""Seconds that an answer may take."""
QUIET = 0.02
"""Seconds in which nothing comes where nothing shall."""
LINE = re.compile(r"(?:(?P<send>I|R|E)(?P<place>\d?)> |(?P<other>\d? ?\w+))(?P<rest>.*)")
NOW = re.compile(r"<now([+-]\d+)?>")
ORDER = re.compile(r"<order (\w+)>")
HEADER = (49, 56, 52)
FRAME = ("8", "9", "10")
FIRST = {"35": 0, "49": 1, "56": 2, "34": 3, "52": 4}
"""Where fields stand that a line leaves out, or says somewhere."""


class Step(NamedTuple):
    """One line of a scenario, and where it stands."""

    number: int
    text: str


class Scenario(NamedTuple):
    """What a file says."""

    path: Path
    promise: str
    rules: dict[str, str]
    steps: list[Step]


def read_scenario(path: Path) -> Scenario:
    """Read a file: first what it shows, then the template where it is of its own, then lines."""
    lines = path.read_text().splitlines()
    rules: dict[str, str] = {}
    steps = []
    for number, line in enumerate(lines, 1):
        if line.startswith("with "):
            rules |= dict(part.split("=") for part in line[5:].split())
        elif line and not line.startswith("#"):
            assert LINE.fullmatch(line), f"{path.name}:{number}: {line}"
            steps.append(Step(number, line))
    assert lines[0].startswith("# "), path.name
    return Scenario(path, lines[0][2:], rules, steps)


class Wire:
    """One connection of the client."""

    def __init__(self) -> None:
        self._decoder = Decoder()
        self._came: list[Message] = []

    async def open(self, port: int) -> None:
        """Connect."""
        self._reader, self.writer = await asyncio.open_connection("127.0.0.1", port)

    async def next(self, seconds: float) -> Message | None:
        """The next message; None when the connection ended. Raises TimeoutError."""
        while not self._came:
            try:
                data = await asyncio.wait_for(self._reader.read(65_536), seconds)
            except ConnectionError:
                return None
            if not data:
                return None
            for message in self._decoder.feed(data):
                assert not isinstance(message, Garbled), message
                self._came.append(message)
        return self._came.pop(0)

    async def close(self) -> None:
        """Disconnect."""
        self.writer.close()
        try:
            await self.writer.wait_closed()
        except ConnectionError:
            return


class Theatre:
    """One acceptor for all scenarios; each has a session of its own."""

    def __init__(self) -> None:
        self.times = SetTimes()
        self.application = EchoApplication()
        self.store = MemorySessionStore(lambda: len(self.application.events), self.times.now)
        self.door = OpenDoor({})
        self.acceptor = Acceptor(
            self.door,
            self.store,
            self.application,
            validate=validate,
            times=self.times,
            limits=AcceptorLimits(tick_seconds=0),
        )
        self.port = 0

    async def open(self) -> None:
        """Listen."""
        self.port = await self.acceptor.listen("127.0.0.1", 0)

    async def play(self, scenario: Scenario) -> None:
        """Play a scenario to its end; the first line that is not as it says fails."""
        session_id = SessionId(VENUE, f"C-{scenario.path.stem}")
        self.door.rules[session_id] = self._rules(session_id, scenario.rules)
        player = Player(self, session_id)
        await player.connect("")
        try:
            for step in scenario.steps:
                try:
                    await player.play(step.text)
                except (AssertionError, TimeoutError) as error:
                    error.add_note(f"{scenario.path.name}:{step.number}: {step.text}")
                    raise
        finally:
            await player.leave()
            await self.gone(session_id)

    async def gone(self, session_id: SessionId) -> None:
        """Return when nobody has the session."""
        while session_id in self.acceptor.sessions():
            await asyncio.sleep(0.001)

    def _rules(self, session_id: SessionId, said: dict[str, str]) -> SessionRules:
        rules = SessionRules(session_id, toggles=Validation())
        for name, value in said.items():
            if name == "rate":
                messages, seconds = value.split("/")
                rules = replace(rules, rate=Rate(int(messages), float(seconds)))
            elif name == "hours":
                ends = self.times.now() + int(value) * 1_000_000
                rules = replace(rules, window=Window(0, ends))
            else:
                assert hasattr(rules, name), name
                kind = type(getattr(rules, name))
                rules = replace(rules, **{name: kind(int(value))})
        return rules


class Player:
    """The client of one scenario."""

    def __init__(self, theatre: Theatre, session_id: SessionId) -> None:
        self._theatre, self._id = theatre, session_id
        self._wires: dict[str, Wire] = {}
        self._cut = 0
        self._join = 0
        self._joined = b""

    async def connect(self, place: str) -> None:
        """Open a connection, the first or another."""
        wire = self._wires[place] = Wire()
        await wire.open(self._theatre.port)

    async def leave(self) -> None:
        """Close what is open."""
        for wire in self._wires.values():
            await wire.close()

    async def play(self, line: str) -> None:
        """Do what a line says, or hold against it what came."""
        found = LINE.fullmatch(line)
        assert found is not None
        place, rest = found["place"] or "", found["rest"]
        match found["send"]:
            case "I":
                self._send(self._wires[place], _message(rest, self._id, self._theatre.times))
            case "R":
                self._send(self._wires[place], rest.replace("|", "\x01").encode())
            case "E":
                await self._expect(self._wires[place], rest)
            case _:
                await self._other(*(found["other"] + rest).split())

    async def _other(self, *words: str) -> None:
        place = words[0] if words[0].isdigit() else ""
        match words[1:] if place else words:
            case ("connect",):
                if place in self._wires:
                    await self._wires[place].close()
                    await self._theatre.gone(self._id)
                await self.connect(place)
            case ("disconnect",):
                await self._wires[place].close()
                await self._theatre.gone(self._id)
            case ("after", seconds):
                await asyncio.sleep(QUIET)
                self._theatre.times.forward(float(seconds))
                self._theatre.acceptor.tick()
            case ("quiet",):
                try:
                    came = await self._wires[place].next(QUIET)
                except TimeoutError:
                    return
                raise AssertionError(f"nothing was to come, but {came}")
            case ("happens", fields):
                self._theatre.application.happen(fields_of(fields), self._id)
            case ("cut", size):
                self._cut = int(size)
            case ("join", count):
                self._join, self._cut = int(count), 0
            case other:
                raise AssertionError(f"nobody knows what {other} means")

    def _send(self, wire: Wire, data: bytes) -> None:
        if self._join:
            self._joined += data
            self._join -= 1
            if self._join:
                return
            data, self._joined = self._joined, b""
        size = self._cut or len(data)
        for start in range(0, len(data), size):
            wire.writer.write(data[start : start + size])

    async def _expect(self, wire: Wire, said: str) -> None:
        came = await wire.next(SOON)
        if said == "closed":
            assert came is None, f"the connection was to be closed, but {_shown(came)}"
            return
        assert came is not None, "the connection was closed"
        assert (VENUE, self._id.target) == tuple(
            (came.get(tag) or b"").decode() for tag in (49, 56)
        )
        if came.msg_type in SESSION_MESSAGES or came.msg_type == BUSINESS_REJECT:
            assert validate(came, Validation()) is None, f"FIX 4.4 knows no such answer: {came}"
        shown = _shown(came)
        if "58=*" in said:
            shown = re.sub(r"58=[^|]+", "58=*", shown)
        # The order of fields is the codec's to choose.
        assert sorted(said.split("|")) == sorted(shown.split("|")), shown


def _shown(message: Message) -> str:
    """What a message says, but for comp ids and times."""
    return "|".join(
        f"{tag}=" + ("<time>" if tag == 122 else value.decode())
        for tag, value in zip(message.tags, message.values, strict=True)
        if tag not in HEADER
    )


def _message(text: str, session_id: SessionId, times: SetTimes) -> bytes:
    """A message as it is written down, framed; what it says of the frame is left as it is."""

    def stamp(seconds: str | None) -> str:
        return Clock52().text(times.now() + int(seconds or 0) * 1_000_000).decode()

    text = ORDER.sub(r"11=\1|55=INTC|54=1|60=<now>|38=100|40=1", text)
    text = NOW.sub(lambda found: stamp(found[1]), text).replace("<me>", session_id.target)
    fields = [part.split("=", 1) for part in text.split("|")]
    said = {tag: value for tag, value in fields}
    usual = {"49": session_id.target, "56": session_id.sender, "52": stamp(None)}
    rest = [field for field in fields if field[0] not in FRAME]
    rest += [[tag, value] for tag, value in usual.items() if tag not in said]
    if rest[0][0] == "35" and not usual.keys() <= said.keys():
        rest.sort(key=lambda field: FIRST.get(field[0], len(FIRST)))
    body = "".join(f"{tag}={value}\x01" for tag, value in rest if value != "<none>").encode()
    whole = f"8={said.get('8', 'FIX.4.4')}\x019={said.get('9', len(body))}\x01".encode() + body
    return whole + f"10={said.get('10', format(checksum(whole), '03d'))}\x01".encode()
