-- What each instrument traded on each UTC day, as printed, and how many events concerned it: a summary of
-- stored_events that whoever looks after the store writes when a day is over. Busts and corrections stand in
-- undone_trades, and are to be added.
--
-- A day is whole when its events are as many as its positions (last_position - first_position + 1): who reads
-- a summary holds it to that, and counts in the log what is missing.
CREATE TABLE symbol_days (
    day             timestamptz NOT NULL,   -- its first instant
    instrument_id   uuid,                   -- null, or the nil id, where events concern none
    events          bigint      NOT NULL,
    first_position  bigint      NOT NULL,
    last_position   bigint      NOT NULL,
    trades          bigint      NOT NULL,
    qty             numeric,                -- 1e-8 units
    notional        numeric                 -- USD cents, of each trade as it was rounded
);

CREATE INDEX symbol_days_day_idx ON symbol_days (day);
CREATE INDEX symbol_days_instrument_idx ON symbol_days (instrument_id, day);
