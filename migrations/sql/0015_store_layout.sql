-- How this store keeps its events, for who reads it: one table, found by position alone.
CREATE FUNCTION store_layout() RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN 'plain';

-- No event above the position was recorded earlier.
CREATE FUNCTION recorded_from(after bigint) RETURNS timestamptz
    LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN '-infinity'::timestamptz;

-- No event up to the position was recorded later.
CREATE FUNCTION recorded_until(up_to bigint) RETURNS timestamptz
    LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN 'infinity'::timestamptz;
