-- Every step of every move, as it was taken.
CREATE TABLE store_move_history (
    id        bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    move_id   int         NOT NULL,
    at        timestamptz NOT NULL DEFAULT clock_timestamp(),
    action    text        NOT NULL,
    phase     text        NOT NULL,   -- the phase that it led to
    epoch     bigint,                 -- of the writer at that time
    position  bigint,                 -- of the log at that time, where the step has looked
    note      jsonb       NOT NULL DEFAULT '{}'
);
