-- The last position, in one row: none is given twice or left out.
-- Events up to `base` come from another store, in any order; 0 when all of them are here.
CREATE TABLE log_head (
    position  bigint NOT NULL,
    base      bigint NOT NULL
) WITH (fillfactor = 20);

CREATE UNIQUE INDEX log_head_one ON log_head ((true));

INSERT INTO log_head (position, base) VALUES (0, 0);
