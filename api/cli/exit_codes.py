"""What the exit codes of `nexus` mean, the same for every sub-command."""

from enum import IntEnum


class Exit(IntEnum):
    """0 is well; each other number is one kind of not well."""

    OK = 0
    CHECK_FAILED = 1  # the work was done and what it checked is not as it should be
    USAGE = 2  # the command line or a NEXUS_ variable is wrong
    STORE_UNAVAILABLE = 3  # no server, or none that may be served from
    MIGRATION = 4  # the schema, or the log in it, is not as this program needs it
    FENCED = 5  # another writer leads the partition; start again, as its standby
    INTERRUPTED = 130  # asked to leave before the work was done
