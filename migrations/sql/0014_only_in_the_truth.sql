-- What stands beside the log is changed in the store that is the truth alone; in another one only by who feeds it.
--
-- Who meets the error connects again, and finds the truth. A table that is 'locked' also holds a switch back
-- until the transaction ends: what was changed before it is copied by it.
CREATE FUNCTION only_in_the_truth() RETURNS trigger
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    mode text;
BEGIN
    IF current_setting('nexus.feeding', true) = 'on' THEN
        RETURN NULL;
    END IF;
    IF TG_ARGV[0] = 'locked' THEN
        SELECT writes INTO mode FROM writer_epoch FOR SHARE;
    ELSE
        SELECT writes INTO mode FROM writer_epoch;
    END IF;
    IF mode NOT IN ('here', 'both') THEN
        RAISE object_not_in_prerequisite_state USING
            MESSAGE = format('store %s is not written now: it is %s', TG_TABLE_SCHEMA, mode);
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER only_in_the_truth BEFORE INSERT OR UPDATE OR DELETE ON api_keys
    FOR EACH STATEMENT EXECUTE FUNCTION only_in_the_truth('locked');
CREATE TRIGGER only_in_the_truth BEFORE INSERT OR UPDATE OR DELETE ON quarantined_commands
    FOR EACH STATEMENT EXECUTE FUNCTION only_in_the_truth('locked');
CREATE TRIGGER only_in_the_truth BEFORE INSERT OR UPDATE OR DELETE ON fix_sessions
    FOR EACH STATEMENT EXECUTE FUNCTION only_in_the_truth('locked');
CREATE TRIGGER only_in_the_truth BEFORE INSERT OR UPDATE OR DELETE ON fix_messages
    FOR EACH STATEMENT EXECUTE FUNCTION only_in_the_truth('locked');
CREATE TRIGGER only_in_the_truth BEFORE INSERT OR UPDATE OR DELETE ON snapshots
    FOR EACH STATEMENT EXECUTE FUNCTION only_in_the_truth();
CREATE TRIGGER only_in_the_truth BEFORE INSERT OR UPDATE OR DELETE ON desk_snapshots
    FOR EACH STATEMENT EXECUTE FUNCTION only_in_the_truth();
