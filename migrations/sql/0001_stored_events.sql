-- The log: every decision of the venue, one row an event, in the order of notification_id.
--
-- Append-only by discipline of the code, not by a trigger: a trigger would cost on every row of the hot
-- path, and REVOKE does not bind the owner. `nexus audit verify` finds a row that was changed or taken out.
-- The writer numbers the rows itself, without gaps; there is no sequence, so position order is commit order.
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
    actor               text        NOT NULL,
    CONSTRAINT stored_events_pkey PRIMARY KEY (originator_id, originator_version)
) WITH (
    -- Rows never die: vacuum only freezes them and keeps the visibility map, in large steps.
    autovacuum_vacuum_insert_scale_factor = 0,
    autovacuum_vacuum_insert_threshold = 2000000,
    autovacuum_freeze_min_age = 0,
    autovacuum_analyze_scale_factor = 0,
    autovacuum_analyze_threshold = 1000000
);
