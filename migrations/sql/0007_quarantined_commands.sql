-- Commands that broke the writer, kept aside for a person to look at and never run again by themselves.
CREATE TABLE quarantined_commands (
    correlation_id  uuid        NOT NULL PRIMARY KEY,
    at              timestamptz NOT NULL,
    actor           text        NOT NULL,
    gateway         text        NOT NULL,
    command         bytea       NOT NULL,
    error           text        NOT NULL
);
