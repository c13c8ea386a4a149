-- How many events each kind of aggregate had on each UTC day: a summary as symbol_days is. A topic begins with
-- the kind of the aggregate whose event it is.
-- The extension may stand in any schema: until the end of this migration its names are found there.
SELECT set_config('search_path', format('%s, %I', current_setting('search_path'), n.nspname), true)
  FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
 WHERE e.extname = 'timescaledb';

CREATE MATERIALIZED VIEW kind_days
    WITH (timescaledb.continuous, timescaledb.materialized_only = false) AS
SELECT time_bucket(INTERVAL '1 day', recorded_at) AS day,
       split_part(topic, '.', 1) AS kind,
       count(*) AS events,
       min(notification_id) AS first_position,
       max(notification_id) AS last_position
  FROM stored_events
 GROUP BY 1, 2
  WITH NO DATA;

-- Sums a day up when it is over, not sooner than two hours after midnight; what is not summed up yet is counted
-- when it is asked for. The policy sleeps until all events are here, or a backfill would be summed up again and
-- again: whoever looks after the store wakes it.
SELECT alter_job(
    add_continuous_aggregate_policy(
        'kind_days',
        start_offset => NULL, end_offset => INTERVAL '2 hours', schedule_interval => INTERVAL '1 hour'
    ),
    scheduled => false
);
