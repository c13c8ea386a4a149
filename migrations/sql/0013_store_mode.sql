-- Where the log of the partition is written: a store can be moved to another while orders flow.
--
-- here: this store is the truth. both: it is, and every append goes to the peer in the same transaction.
-- held: it is, and a switch keeps appends back until held_until at the latest. there: the peer is the truth.
-- fed: the peer is the truth, and this store follows it.
-- The peer is a schema of the same database, or of the one that peer_dsn names; no password is kept here.
ALTER TABLE writer_epoch
    ADD COLUMN writes       text        NOT NULL DEFAULT 'here'
        CONSTRAINT writer_epoch_writes CHECK (writes IN ('here', 'both', 'held', 'there', 'fed')),
    ADD COLUMN peer_dsn     text,
    ADD COLUMN peer_schema  text,
    ADD COLUMN held_until   timestamptz,
    ADD COLUMN generation   bigint      NOT NULL DEFAULT 0,   -- rises with every change of these
    ADD CONSTRAINT writer_epoch_peer CHECK (peer_schema IS NOT NULL OR writes = 'here' AND peer_dsn IS NULL);
