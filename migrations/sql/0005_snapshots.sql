-- Aggregates as they stood at a version, to shorten their loading; each can be made again from the log.
CREATE TABLE snapshots (
    originator_id       uuid    NOT NULL,
    originator_version  bigint  NOT NULL,
    topic               text    NOT NULL,
    state               bytea   NOT NULL,
    CONSTRAINT snapshots_pkey PRIMARY KEY (originator_id, originator_version)
);
