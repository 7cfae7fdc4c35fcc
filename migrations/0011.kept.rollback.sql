DROP TABLE acts;
CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'audits is append-only' USING ERRCODE = 'insufficient_privilege'; END $$;
ALTER TABLE sessions DROP COLUMN restarting_at;
DROP INDEX containers_kept;
UPDATE containers SET state = 'gone' WHERE state = 'kept';
ALTER TABLE containers
    DROP COLUMN kept_user, DROP COLUMN kept_lesson, DROP COLUMN kept_at, DROP COLUMN kept_until,
    DROP CONSTRAINT containers_state_check,
    ADD CONSTRAINT containers_state_check CHECK (state IN ('warming', 'ready', 'taken', 'gone'));
