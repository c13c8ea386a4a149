-- The last version of each aggregate and when its events were recorded: no version is given twice or left out,
-- and who loads an aggregate knows between which times to look.
CREATE TABLE stream_heads (
    originator_id  uuid        NOT NULL PRIMARY KEY,
    version        bigint      NOT NULL,
    first_at       timestamptz NOT NULL,
    last_at        timestamptz NOT NULL
) WITH (fillfactor = 70);
