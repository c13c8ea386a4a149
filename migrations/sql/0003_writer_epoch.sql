-- Who may write: every batch takes this row FOR SHARE where the epoch is its own; a takeover raises it.
CREATE TABLE writer_epoch (
    partition    int         NOT NULL PRIMARY KEY,
    epoch        bigint      NOT NULL,
    holder       text        NOT NULL,
    backend_pid  int         NOT NULL,
    taken_at     timestamptz NOT NULL,
    -- When the writer last said it is alive, by the server's clock: a standby takes over from a silent one.
    renewed_at   timestamptz NOT NULL DEFAULT clock_timestamp()
);
