-- Who may call the API: a secret is 32 random bytes and only its SHA-256 is kept.
CREATE TABLE api_keys (
    key_id         text        NOT NULL PRIMARY KEY,
    secret_sha256  bytea       NOT NULL CHECK (octet_length(secret_sha256) = 32),
    account_id     uuid,
    role           text        NOT NULL CHECK (role IN ('trader', 'admin')),
    created_at     timestamptz NOT NULL,
    revoked_at     timestamptz,
    CONSTRAINT api_keys_trader_has_account CHECK (role <> 'trader' OR account_id IS NOT NULL)
);
