-- Request keys of operators get a space of their own: a trader's key is no reason to refuse a fee.
--
-- They are kept under the account's id with the four bits of its version turned over, which is no account's
-- (domain.identifiers.operators_of). Those that are here already are moved there, each found by the event that
-- spent it: it stands where the key says, or behind the position that it opened in the same command.
-- An operator's refusal is told by what was asked, which follows the fingerprint in the event's bytes.
UPDATE request_keys k
   SET account_id = overlay(
           k.account_id::text
           PLACING to_hex(15 - ('x' || substr(k.account_id::text, 15, 1))::bit(4)::int)
           FROM 15 FOR 1
       )::uuid
  FROM stored_events first
  JOIN stored_events spent
    ON spent.notification_id BETWEEN first.notification_id AND first.notification_id + 1
   AND spent.correlation_id = first.correlation_id
 WHERE first.notification_id = k.position
   AND spent.account_id = k.account_id
   AND (
       spent.topic IN ('account.deposited.v1', 'account.withdrawn.v1', 'account.fee_charged.v1')
    OR spent.topic = 'position.transferred.v1'
    OR spent.topic = 'account.request_refused.v1'
       AND EXISTS (
           SELECT FROM unnest(ARRAY['deposit', 'withdraw', 'charge_fee', 'transfer_position']) AS asked
            WHERE position(
                      set_byte('\xc400'::bytea, 1, length(k.fingerprint)) || k.fingerprint
                      || set_byte('\x00'::bytea, 0, 160 + length(asked)) || convert_to(asked, 'UTF8')
                      IN spent.state
                  ) > 0
       )
   );
