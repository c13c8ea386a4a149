"""What the session layer says and hears: types of messages, tags, reasons of rejects."""

from __future__ import annotations

from enum import IntEnum

HEARTBEAT = b"0"
TEST_REQUEST = b"1"
RESEND_REQUEST = b"2"
REJECT = b"3"
SEQUENCE_RESET = b"4"
LOGOUT = b"5"
LOGON = b"A"
BUSINESS_REJECT = b"j"
SESSION_MESSAGES = frozenset(
    (HEARTBEAT, TEST_REQUEST, RESEND_REQUEST, REJECT, SEQUENCE_RESET, LOGOUT, LOGON)
)

YES = b"Y"
MOST_NUMBER = 10**15
"""No MsgSeqNum is above it: who says so means harm."""


class Tag:
    """Fields that the session layer reads or writes."""

    BEGIN_SEQ_NO = 7
    BEGIN_STRING = 8
    END_SEQ_NO = 16
    MSG_SEQ_NUM = 34
    MSG_TYPE = 35
    NEW_SEQ_NO = 36
    POSS_DUP = 43
    REF_SEQ_NUM = 45
    SENDER = 49
    SENDING_TIME = 52
    TARGET = 56
    TEXT = 58
    POSS_RESEND = 97
    ENCRYPT_METHOD = 98
    HEARTBEAT_SECONDS = 108
    TEST_REQ_ID = 112
    ORIG_SENDING_TIME = 122
    GAP_FILL = 123
    RESET_NUMBERS = 141
    LAST_PROCESSED = 369
    REF_TAG = 371
    REF_MSG_TYPE = 372
    REJECT_REASON = 373
    BUSINESS_REF_ID = 379
    BUSINESS_REASON = 380
    NEXT_EXPECTED = 789


class Reason(IntEnum):
    """SessionRejectReason(373), as far as the session layer itself gives one."""

    REQUIRED_TAG_MISSING = 1
    WITHOUT_VALUE = 4
    VALUE_INCORRECT = 5
    BAD_FORMAT = 6
    COMP_ID = 9
    SENDING_TIME = 10
    MSG_TYPE = 11
    OTHER = 99


REASON_TEXT: dict[int, str] = {
    Reason.REQUIRED_TAG_MISSING: "Required tag missing",
    Reason.WITHOUT_VALUE: "Tag specified without a value",
    Reason.VALUE_INCORRECT: "Value is incorrect (out of range) for this tag",
    Reason.BAD_FORMAT: "Incorrect data format for value",
    Reason.COMP_ID: "CompID problem",
    Reason.SENDING_TIME: "SendingTime accuracy problem",
    Reason.MSG_TYPE: "Invalid MsgType",
    Reason.OTHER: "Other",
}

BUSINESS_OTHER = 0
"""BusinessRejectReason(380) of what is over the session's rate."""

REVERSED = ((115, 128), (116, 129), (144, 145), (128, 115), (129, 116), (145, 144))
"""Where a message was to be delivered, and in whose name it came: a reject goes the way back."""
