-- Where each FIX session stands: which numbers come next on both sides, and what its client was told.
--
-- A session has one owner at a time: whoever opens it raises the epoch, and what an owner before it
-- saves changes nothing. It can be lost without losing an order: clients would begin their numbers anew.
CREATE TABLE fix_sessions (
    id         int         GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    sender     text        NOT NULL,
    target     text        NOT NULL,
    epoch      bigint      NOT NULL,
    life       int         NOT NULL,   -- grows when the numbers begin at 1 again
    next_in    bigint      NOT NULL,
    next_out   bigint      NOT NULL,
    reserved   bigint      NOT NULL,   -- own numbers below it may have been used for what is no report
    arrived    bigint      NOT NULL,   -- own numbers up to it are known to have arrived
    told       bigint      NOT NULL,   -- log position up to which the client was told everything
    began      bigint      NOT NULL,   -- when the numbers began at 1, in microseconds since 1970
    opened_at  timestamptz NOT NULL,
    saved_at   timestamptz NOT NULL,
    CONSTRAINT fix_sessions_name UNIQUE (sender, target)
) WITH (fillfactor = 50);
