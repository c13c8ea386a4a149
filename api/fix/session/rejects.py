"""Rejects of a message: what they say and which way they go."""

from __future__ import annotations

from api.fix.ports import Received
from api.fix.session.hands import Fields
from api.fix.session.words import REASON_TEXT, REVERSED, Tag

IDS = {
    b"D": 11,
    b"F": 11,
    b"G": 11,
    b"H": 11,
    b"q": 11,
    b"E": 66,
    b"x": 320,
    b"AD": 568,
    b"AF": 584,
}
"""What a message is called by its sender, by its type: BusinessRejectRefID(379)."""


def reject_fields(message: Received, reason: int, text: str, tag: int) -> Fields:
    """The fields of a session-level Reject of a message."""
    said = text or REASON_TEXT.get(reason, "Rejected")
    fields = [(Tag.REF_SEQ_NUM, b"%d" % max(message.seq_num, 0)), (Tag.TEXT, words(said))]
    if tag:
        fields.append((Tag.REF_TAG, b"%d" % tag))
    if message.msg_type:
        fields.append((Tag.REF_MSG_TYPE, message.msg_type))
    fields.append((Tag.REJECT_REASON, b"%d" % reason))
    return fields


def refusal_fields(message: Received, reason: int, text: str, tag: int) -> Fields:
    """The fields of a BusinessMessageReject; FIX 4.4 names a tag in its text alone."""
    fields = [
        (Tag.REF_SEQ_NUM, b"%d" % max(message.seq_num, 0)),
        (Tag.REF_MSG_TYPE, message.msg_type),
    ]
    name = message.get(IDS.get(message.msg_type, 0))
    if name:
        fields.append((Tag.BUSINESS_REF_ID, name))
    fields.append((Tag.BUSINESS_REASON, b"%d" % reason))
    if text or tag:
        fields.append((Tag.TEXT, words(text + (f" (tag {tag})" if tag else ""))))
    return fields


def way_back(message: Received) -> Fields:
    """Header fields that bring a reject to where its message came from."""
    back = [(theirs, message.get(ours)) for ours, theirs in REVERSED]
    return [(tag, value) for tag, value in back if value]


def words(text: str) -> bytes:
    """Text as a field can hold it."""
    return text.replace("\x01", " ").encode("ascii", "backslashreplace")


def number(text: bytes | None) -> int | None:
    """A sequence number as a field says it; None where it is missing or none."""
    if text is None or not text.isdigit() or len(text) > 16:
        return None
    return int(text)
