-- When the writer last said it is alive, by the server's clock: a standby takes over from one that stays silent.
ALTER TABLE writer_epoch ADD COLUMN renewed_at timestamptz NOT NULL DEFAULT clock_timestamp();
