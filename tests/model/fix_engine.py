"""A client's FIX engine, slow and obvious: it holds the venue to its numbers."""

from __future__ import annotations

from collections.abc import Callable

from api.fix.codec import Decoder, Garbled, Message


class Engine:
    """Numbers of one client, what it was told under which number, and what was wrong with it."""

    def __init__(self, written: Callable[[str, int], bytes]) -> None:
        self._written = written
        self.reports: list[tuple[bytes, bool]] = []
        """Reports in the order they were taken in, and whether they said PossResend."""
        self.orders: list[bytes] = []
        self.wrong: list[str] = []
        self.resets = 0
        self._decoder = Decoder()
        self._expected = 1
        self._next = 1
        self._ahead: dict[int, Message] = {}
        self._asked = False
        self._logged_on = False
        self._parted = False
        self._resetting = False
        self._told: dict[int, str] = {}
        self._sent: dict[int, str] = {}
        self._answered: set[int] = set()

    # What it sends

    def _message(self, text: str) -> Message:
        number, self._next = self._next, self._next + 1
        self._sent[number] = text
        return self._framed(text, number)

    def _framed(self, text: str, number: int) -> Message:
        (message,) = Decoder().feed(self._written(text, number))
        assert isinstance(message, Message)
        return message

    def logon(self, *, reset: bool = False) -> Message:
        """Log on, with new numbers where it is so wanted."""
        self._decoder = Decoder()
        if reset or self._resetting:
            self._begin_anew()
            return self._message("35=A|98=0|108=30|141=Y")
        return self._message("35=A|98=0|108=30")

    def _begin_anew(self) -> None:
        # Until the answer has come it is not known whether the other side did.
        self._resetting = True
        self.resets += 1
        self._expected = self._next = 1
        self._ahead.clear()
        self._told.clear()
        self._sent.clear()
        self._answered.clear()

    def says(self, what: str, amount: int) -> list[Message]:
        """Say something, if it is logged on."""
        if not self._logged_on or self._parted:
            return []
        match what:
            case "order":
                names = [b"O%d" % (len(self.orders) + place) for place in range(amount)]
                self.orders += names
                return [self._message(f"35=D|11={name.decode()}") for name in names]
            case "test":
                return [self._message(f"35=1|112=T{place}") for place in range(amount)]
            case "ask":
                first = max(1, self._expected - amount)
                if first >= self._expected:
                    return []
                return [self._message(f"35=2|7={first}|16=0")]
            case "reset within" if not self._ahead:
                self._logged_on = False
                self._begin_anew()
                return [self._message("35=A|98=0|108=30|141=Y")]
            case "logout":
                self._parted = True
                return [self._message("35=5")]
        return []

    # What it reads

    def disconnected(self) -> None:
        """Forget what belongs to the connection."""
        self._ahead.clear()
        self._asked = self._logged_on = self._parted = False

    def read(self, data: bytes) -> list[Message]:
        """Take what came; what it answers."""
        answers: list[Message] = []
        for message in self._decoder.feed(data):
            if isinstance(message, Garbled):
                self.wrong.append(f"garbled: {message}")
                continue
            answers += self._take(message)
        return answers

    def _take(self, message: Message) -> list[Message]:
        number, kind = message.seq_num, message.msg_type
        if kind == b"A" and message.get(141) == b"Y" and self._resetting:
            self._resetting = False
        elif self._resetting:
            return []
        self._note(message)
        if kind == b"4" and message.get(123) != b"Y":
            if int(message.get(36) or 0) != self._expected:
                self.wrong.append(f"reset to {message.get(36)!r}, not {self._expected}")
            return []
        if kind == b"A":
            self._logged_on = True
        if number > self._expected:
            self._ahead[number] = message
            answers = []
            if kind == b"2":
                # Answered at once: the other side may fill over it before its turn comes.
                answers += self._again(int(message.get(7) or 0))
                self._answered.add(number)
            if not self._asked:
                self._asked = True
                answers.append(self._message(f"35=2|7={self._expected}|16=0"))
            return answers
        if number < self._expected:
            if message.get(43) != b"Y":
                self.wrong.append(f"{number} after {self._expected - 1}: {message}")
            return []
        answers = self._turn(message)
        while self._expected in self._ahead:
            answers += self._turn(self._ahead.pop(self._expected))
        for passed in [one for one in self._ahead if one < self._expected]:
            del self._ahead[passed]
        if not self._ahead:
            self._asked = False
        return answers

    def _note(self, message: Message) -> None:
        """Hold a number against what it was used for before."""
        number = message.seq_num
        if message.msg_type == b"4":
            if message.get(123) == b"Y":
                for passed in range(number, int(message.get(36) or 0)):
                    if self._told.get(passed, "").startswith("35=8"):
                        self.wrong.append(f"{passed} was a report and is filled over")
            return
        said = "|".join(
            f"{tag}={value.decode()}"
            for tag, value in zip(message.tags, message.values, strict=True)
            if tag not in (43, 52, 122)
        )
        if self._told.setdefault(number, said) != said:
            self.wrong.append(f"{number} was {self._told[number]} and is {said}")

    def _turn(self, message: Message) -> list[Message]:
        self._expected = message.seq_num + 1
        match message.msg_type:
            case b"8":
                name = message.get(11)
                assert name is not None
                self.reports.append((name, message.get(97) == b"Y"))
            case b"1":
                test = (message.get(112) or b"").decode()
                return [self._message(f"35=0|112={test}")]
            case b"2" if message.seq_num in self._answered:
                return []
            case b"2":
                return self._again(int(message.get(7) or 0))
            case b"4":
                self._expected = int(message.get(36) or 0)
            case b"5" if not self._parted:
                self._parted = True
                return [self._message("35=5")]
            case b"3" | b"j":
                self.wrong.append(str(message))
        return []

    def _again(self, first: int) -> list[Message]:
        """Send orders again, and fill over all else."""
        answers: list[Message] = []
        for number in range(first, self._next):
            text = self._sent[number]
            more = "|43=Y|122=20260101-00:00:00"
            if not text.startswith("35=D"):
                text = f"35=4|36={number + 1}|123=Y"
            answers.append(self._framed(text + more, number))
        return answers
