-- How far a move of this store to another has come: one move at a time, its plan and the way it was made.
CREATE TABLE store_moves (
    id             int         GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    phase          text        NOT NULL CHECK (phase IN (
                       'planned', 'prepared', 'dual_writing', 'backfilling', 'backfilled', 'verified',
                       'cut_over', 'finalized', 'rolled_back')),
    target_dsn     text,                   -- null: another schema of this database
    target_schema  text        NOT NULL,
    layout         text        NOT NULL,
    plan           jsonb       NOT NULL,
    progress       jsonb       NOT NULL DEFAULT '{}',   -- of the step that is under way or was made last
    planned_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    changed_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    touched_at     timestamptz NOT NULL DEFAULT clock_timestamp()   -- when who moves last tried a commit here
);

CREATE UNIQUE INDEX store_moves_one ON store_moves ((true)) WHERE phase NOT IN ('finalized', 'rolled_back');
