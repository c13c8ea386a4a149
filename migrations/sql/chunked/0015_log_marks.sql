-- The time of every 256th position: between which times a range of positions was recorded.
CREATE TABLE log_marks (
    position     bigint      NOT NULL PRIMARY KEY,
    recorded_at  timestamptz NOT NULL
);

-- No event above the position was recorded earlier.
CREATE FUNCTION recorded_from(after bigint) RETURNS timestamptz
    LANGUAGE sql STABLE PARALLEL SAFE RETURN COALESCE(
        (SELECT m.recorded_at FROM log_marks m WHERE m.position <= after ORDER BY m.position DESC LIMIT 1),
        '-infinity'::timestamptz
    );

-- No event up to the position was recorded later.
CREATE FUNCTION recorded_until(up_to bigint) RETURNS timestamptz
    LANGUAGE sql STABLE PARALLEL SAFE RETURN COALESCE(
        (SELECT m.recorded_at FROM log_marks m WHERE m.position >= up_to ORDER BY m.position LIMIT 1),
        'infinity'::timestamptz
    );
