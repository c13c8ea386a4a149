-- What busts and corrections take off the volume, on the UTC day of the trade they undo.
CREATE TABLE undone_trades (
    position       bigint   NOT NULL PRIMARY KEY,   -- of the event that undoes it
    instrument_id  uuid     NOT NULL,
    traded_on      date     NOT NULL,
    qty            bigint   NOT NULL,   -- to be added to the volume, 1e-8 units
    notional       bigint   NOT NULL,   -- to be added, USD cents
    trades         smallint NOT NULL    -- to be added: -1 for a trade that is undone whole, or 0
);

CREATE INDEX undone_trades_day_idx ON undone_trades (traded_on, instrument_id);
