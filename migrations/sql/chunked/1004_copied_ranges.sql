-- Which ranges of positions a backfill has brought, each written with its rows.
CREATE TABLE copied_ranges (
    first        bigint      NOT NULL PRIMARY KEY,
    last         bigint      NOT NULL,
    rows         bigint      NOT NULL,
    keys         bigint      NOT NULL,
    checksum     numeric,
    copied_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    verified_at  timestamptz,
    CONSTRAINT copied_ranges_order CHECK (first <= last)
);
