-- The log in partitions of a day: every decision of the venue, one row an event, in the order of
-- (recorded_at, notification_id), which is that of notification_id since time never runs back in it.
--
-- A unique key would have to hold the time and so promise nothing: versions are kept by stream_heads,
-- positions by log_head. Partitions are made ahead of time; the default one takes what comes before its own.
CREATE TABLE stored_events (
    originator_id       uuid        NOT NULL,
    originator_version  bigint      NOT NULL,
    topic               text        NOT NULL,
    state               bytea       NOT NULL,
    notification_id     bigint      NOT NULL,
    recorded_at         timestamptz NOT NULL,   -- the event's own time, never the server's
    instrument_id       uuid,
    account_id          uuid,
    traded_qty          bigint,                 -- 1e-8 units
    traded_notional     bigint,                 -- USD cents
    correlation_id      uuid        NOT NULL,   -- the command that caused the event
    actor               text        NOT NULL
) PARTITION BY RANGE (recorded_at);

CREATE TABLE stored_events_default PARTITION OF stored_events DEFAULT;

CREATE FUNCTION store_layout() RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN 'native';
