-- Which request of an account was answered at which position, kept for ever.
CREATE TABLE request_keys (
    account_id   uuid    NOT NULL,
    request_key  text    NOT NULL,
    fingerprint  bytea   NOT NULL,   -- of the body: another body under the same key is refused
    position     bigint  NOT NULL,
    PRIMARY KEY (account_id, request_key)
) WITH (
    autovacuum_vacuum_insert_scale_factor = 0,
    autovacuum_vacuum_insert_threshold = 2000000,
    autovacuum_freeze_min_age = 0
);
