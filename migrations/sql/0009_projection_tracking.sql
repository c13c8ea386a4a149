-- How far each version of each view has come; written in the transaction that changes the view.
CREATE TABLE projection_tracking (
    name        text        NOT NULL,
    version     int         NOT NULL,
    position    bigint      NOT NULL,
    state       text        NOT NULL CHECK (state IN ('active', 'building', 'retired')),
    updated_at  timestamptz NOT NULL,
    PRIMARY KEY (name, version)
) WITH (fillfactor = 50);
