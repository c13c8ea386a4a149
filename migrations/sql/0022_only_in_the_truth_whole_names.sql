-- Names are said whole in what runs with its owner's rights: whoever may make a table or a function of the same
-- name, as everybody may for his own session, would have his taken for ours.
DO $make$
BEGIN
    EXECUTE format($function$
CREATE OR REPLACE FUNCTION %1$I.only_in_the_truth() RETURNS trigger
LANGUAGE plpgsql %2$s SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    mode text;
BEGIN
    IF current_setting('nexus.feeding', true) = 'on' THEN
        RETURN NULL;
    END IF;
    IF TG_ARGV[0] = 'locked' THEN
        SELECT writes INTO mode FROM %1$I.writer_epoch FOR SHARE;
    ELSE
        SELECT writes INTO mode FROM %1$I.writer_epoch;
    END IF;
    IF mode NOT IN ('here', 'both') THEN
        RAISE object_not_in_prerequisite_state USING
            MESSAGE = format('store %%s is not written now: it is %%s', TG_TABLE_SCHEMA, mode);
    END IF;
    RETURN NULL;
END
$$
$function$,
        current_schema(),
        (SELECT CASE WHEN prosecdef THEN 'SECURITY DEFINER' ELSE '' END
           FROM pg_proc WHERE oid = format('%I.only_in_the_truth()', current_schema())::regprocedure));
END
$make$;
