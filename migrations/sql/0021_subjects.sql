-- The keys that open the names of persons in the log. Thrown away, a name cannot be read any more; the row stays.
-- By the hash of his name a person is found who has an account already; it goes with the key.
CREATE TABLE subjects (
    subject       uuid        NOT NULL PRIMARY KEY,
    key           bytea       CHECK (octet_length(key) = 64),
    name_sha256   bytea       UNIQUE,
    created_at    timestamptz NOT NULL,
    forgotten_at  timestamptz,
    CONSTRAINT subjects_forgotten_whole CHECK ((key IS NULL) = (name_sha256 IS NULL) AND (key IS NULL) = (forgotten_at IS NOT NULL))
);
CREATE TRIGGER only_in_the_truth BEFORE INSERT OR UPDATE OR DELETE ON subjects
    FOR EACH STATEMENT EXECUTE FUNCTION only_in_the_truth('locked');
