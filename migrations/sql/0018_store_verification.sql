-- How far this store was compared with the other one of a move, row by row: events never change, so what was
-- found equal once stays so. Kept in both stores; what only one of them knows was not compared with the other.
CREATE TABLE store_verification (
    one          boolean      NOT NULL DEFAULT true PRIMARY KEY CHECK (one),
    up_to        bigint       NOT NULL,   -- every position up to it was compared
    whole_at     timestamptz,             -- when all was compared that there is, views and samples too
    differences  int          NOT NULL,   -- as the last run left them
    saved_at     timestamptz  NOT NULL DEFAULT clock_timestamp()
);
