-- How many events of each topic concerned each instrument on each UTC day: a summary as symbol_days is.
CREATE TABLE topic_days (
    day             timestamptz NOT NULL,
    instrument_id   uuid,
    topic           text        NOT NULL,
    events          bigint      NOT NULL,
    first_position  bigint      NOT NULL,
    last_position   bigint      NOT NULL
);

CREATE INDEX topic_days_day_idx ON topic_days (day);
CREATE INDEX topic_days_instrument_idx ON topic_days (instrument_id, day);
