-- Stops an append that does not go on where the log ends.
CREATE FUNCTION log_broken(what text) RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
    RAISE unique_violation USING MESSAGE = what;
END
$$;
