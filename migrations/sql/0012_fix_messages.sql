-- Which report each number of a FIX session was used for; its text is rendered from the log again.
--
-- Rows of the present life answer a ResendRequest. When numbers begin anew those that are not known to have
-- arrived are kept under the negative of their life until they were sent again; the others are thinned out.
CREATE TABLE fix_messages (
    session_id   int     NOT NULL,
    life         int     NOT NULL,
    seq_num      bigint  NOT NULL,
    position     bigint  NOT NULL,   -- of the event that is told
    part         int     NOT NULL,   -- which of the event's messages
    checksum     bigint  NOT NULL,   -- CRC-32 of the body as it was sent first
    poss_resend  boolean NOT NULL,   -- whether it was sent with PossResend(97)
    PRIMARY KEY (session_id, life, seq_num)
);
