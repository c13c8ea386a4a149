-- The whole state of the writer as it stood at a position, in compressed parts, to bound recovery.
CREATE TABLE desk_snapshots (
    position    bigint      NOT NULL,
    part        int         NOT NULL DEFAULT 0,
    taken_at    timestamptz NOT NULL,
    format      int         NOT NULL,
    state_hash  bytea       NOT NULL,
    state       bytea       NOT NULL,
    PRIMARY KEY (position, part)
);

-- The parts are compressed already.
ALTER TABLE desk_snapshots ALTER COLUMN state SET STORAGE EXTERNAL;
