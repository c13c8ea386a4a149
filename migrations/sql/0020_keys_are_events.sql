-- What the newest event of a key says beside what is stored of its secret, written with that event.
-- A row of version 0 was stored before keys were events: the first writer that leads writes it down.
ALTER TABLE api_keys
    ADD COLUMN scopes     text[] NOT NULL DEFAULT '{}',
    ADD COLUMN label      text   NOT NULL DEFAULT '',
    ADD COLUMN expires_at bigint NOT NULL DEFAULT 0,
    ADD COLUMN version    bigint NOT NULL DEFAULT 0,
    ADD COLUMN position   bigint NOT NULL DEFAULT 0;
