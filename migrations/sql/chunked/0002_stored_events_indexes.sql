-- An aggregate by its versions; the log in its order, of time first, so that parts of other days are passed over.
CREATE INDEX stored_events_originator_idx ON stored_events (originator_id, originator_version);
CREATE INDEX stored_events_position_idx ON stored_events (recorded_at, notification_id);
