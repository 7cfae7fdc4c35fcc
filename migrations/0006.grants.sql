-- depends: 0005.done
-- Who else may type: the course's policy, and an account of it that nobody can change afterwards.
ALTER TABLE courses DROP CONSTRAINT courses_watching_check, DROP CONSTRAINT courses_assisting_check;
-- Watching was never asked for: the student is always told.
UPDATE courses SET watching = 'notice' WHERE watching = 'ask';
ALTER TABLE courses
    ALTER COLUMN watching SET DEFAULT 'notice',
    ADD CONSTRAINT courses_watching_check CHECK (watching IN ('off', 'notice')),
    ADD CONSTRAINT courses_assisting_check CHECK (assisting IN ('off', 'ask', 'allow'));

-- One row when somebody is let in, one for each few seconds in which they typed. No references: it outlives all that it names.
CREATE TABLE audits (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    grant_id text NOT NULL CHECK (grant_id ~ '^[a-z0-9]{20}$'),
    who bigint NOT NULL,
    who_name text NOT NULL,
    whom bigint NOT NULL,
    whom_name text NOT NULL,
    course_id text NOT NULL,
    session_id text NOT NULL,
    terminal_id text NOT NULL,
    role text NOT NULL CHECK (role IN ('assistant')),
    began timestamptz NOT NULL,
    ended timestamptz NOT NULL CHECK (ended >= began),
    bytes bigint NOT NULL CHECK (bytes >= 0)
);
CREATE INDEX audits_course ON audits (course_id, id);

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'audits is append-only' USING ERRCODE = 'insufficient_privilege'; END $$;
CREATE TRIGGER audits_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audits EXECUTE FUNCTION refuse_change();
