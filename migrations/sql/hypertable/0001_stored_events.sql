-- The log in chunks of a day, of TimescaleDB's Apache edition: every decision of the venue, one row an event,
-- in the order of (recorded_at, notification_id), which is that of notification_id since time never runs
-- back in it. Nothing is compressed, and summaries are tables: that edition has neither.
--
-- A unique key would have to hold the time and so promise nothing: versions are kept by stream_heads,
-- positions by log_head.
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
);

-- The extension may stand in any schema: until the end of this migration its names are found there.
SELECT set_config('search_path', format('%s, %I', current_setting('search_path'), n.nspname), true)
  FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
 WHERE e.extname = 'timescaledb';

SELECT create_hypertable(
    'stored_events', by_range('recorded_at', INTERVAL '1 day'), create_default_indexes => false
);

CREATE FUNCTION store_layout() RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN 'hypertable';
