-- What the last comparison with the other store found unequal, down to the column of a row.
CREATE TABLE store_differences (
    place        text         NOT NULL,   -- the table, or the view
    key          text         NOT NULL,   -- the row: its position, or its key
    column_name  text         NOT NULL,   -- empty where the row itself is missing, or doubled
    truth        text,
    follower     text,
    found_at     timestamptz  NOT NULL DEFAULT clock_timestamp()
);
