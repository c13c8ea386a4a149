-- An aggregate by its versions; the log in its order, of time first, so that chunks of other days are passed over.
CREATE INDEX stored_events_originator_idx ON stored_events (originator_id, originator_version);
CREATE INDEX stored_events_position_idx ON stored_events (recorded_at, notification_id);

-- The extension may stand in any schema: until the end of this migration its names are found there.
SELECT set_config('search_path', format('%s, %I', current_setting('search_path'), n.nspname), true)
  FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
 WHERE e.extname = 'timescaledb';

-- Events older than 30 days are kept in weeks of compressed batches, in the order of the log: chunks are only
-- merged where the time stands first in it. Without segments a batch holds a thousand events that follow each
-- other, and loading an aggregate reads the few that may hold it, by the times in stream_heads and the filters
-- over its id (docs/timescale-layout.md says what was measured). Sparse indexes are named one by one: with the
-- default ones some versions never merge. A version that takes none does without.
DO $$
BEGIN
    ALTER TABLE stored_events SET (
        timescaledb.compress,
        timescaledb.compress_segmentby = '',
        timescaledb.compress_orderby = 'recorded_at, notification_id',
        timescaledb.compress_index = 'bloom(originator_id), bloom(instrument_id), minmax(notification_id)',
        timescaledb.compress_chunk_time_interval = '7 days'
    );
EXCEPTION WHEN invalid_parameter_value THEN
    ALTER TABLE stored_events SET (
        timescaledb.compress,
        timescaledb.compress_segmentby = '',
        timescaledb.compress_orderby = 'recorded_at, notification_id',
        timescaledb.compress_chunk_time_interval = '7 days'
    );
END
$$;

-- Once a day. The policy would start as soon as it is committed: it is put to sleep at once, until all events
-- are here, so that nothing is compressed before it is verified. Whoever looks after the store wakes it.
CALL add_columnstore_policy(
    'stored_events', after => INTERVAL '30 days', schedule_interval => INTERVAL '1 day'
);

SELECT alter_job(j.job_id, scheduled => false)
  FROM timescaledb_information.jobs j
 WHERE j.hypertable_schema = current_schema() AND j.hypertable_name = 'stored_events'
   AND j.proc_name LIKE 'policy_compression%';
