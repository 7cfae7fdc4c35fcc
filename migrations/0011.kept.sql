-- depends: 0010.keeping
-- A lab that is reset leaves its container, home and all, for a week; restarts; and an account of what instructors do to labs.
ALTER TABLE containers DROP CONSTRAINT containers_state_check;
ALTER TABLE containers
    ADD CONSTRAINT containers_state_check CHECK (state IN ('warming', 'ready', 'taken', 'kept', 'gone')),
    -- Whose it was. One that is restored keeps these until its session is live, so that a start that fails gives it back.
    -- Without its user or its lesson it goes.
    ADD COLUMN kept_user bigint REFERENCES users ON DELETE SET NULL,
    ADD COLUMN kept_lesson text REFERENCES lessons ON DELETE SET NULL,
    ADD COLUMN kept_at timestamptz,
    ADD COLUMN kept_until timestamptz,
    ADD CHECK ((kept_at IS NULL) = (kept_until IS NULL)),
    ADD CHECK (state <> 'kept' OR kept_until IS NOT NULL AND session_id IS NULL);
CREATE INDEX containers_kept ON containers (kept_user, kept_lesson) WHERE state = 'kept';

-- Since when its container is being restarted: meanwhile it has no terminals.
ALTER TABLE sessions ADD COLUMN restarting_at timestamptz;
CREATE INDEX sessions_restarting ON sessions (restarting_at) WHERE restarting_at IS NOT NULL;

-- What instructors did to students' labs. No references: it outlives all that it names.
CREATE TABLE acts (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT now(),
    who bigint NOT NULL,
    who_name text NOT NULL,
    whom bigint NOT NULL,
    whom_name text NOT NULL,
    course_id text NOT NULL,
    session_id text NOT NULL,
    lesson_title text NOT NULL,
    act text NOT NULL CHECK (act IN ('extend', 'restart', 'reset', 'end'))
);
CREATE INDEX acts_course ON acts (course_id, id);
CREATE INDEX acts_session ON acts (session_id, id);
CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege'; END $$;
CREATE TRIGGER acts_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON acts EXECUTE FUNCTION refuse_change();
