-- Readers follow the log by position, and no position is given twice.
CREATE UNIQUE INDEX stored_events_notification_id_idx ON stored_events (notification_id);
