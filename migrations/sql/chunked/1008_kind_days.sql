-- How many events each kind of aggregate had on each UTC day: a summary as symbol_days is. A topic begins with
-- the kind of the aggregate whose event it is.
CREATE TABLE kind_days (
    day             timestamptz NOT NULL,
    kind            text        NOT NULL,
    events          bigint      NOT NULL,
    first_position  bigint      NOT NULL,
    last_position   bigint      NOT NULL
);

CREATE INDEX kind_days_day_idx ON kind_days (day);
