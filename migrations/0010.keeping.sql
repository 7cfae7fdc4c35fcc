-- depends: 0009.limits
-- How long a lab is kept: until its deadline, and while nobody uses it first asleep, then stopped, then ended; never in a scheduled class.
ALTER TABLE courses
    -- Minutes: without use until it sleeps, then until it is stopped, then until it is ended; its longest life, extensions included.
    -- NULL: as the settings say. Less than 2 would put to sleep who only loads the page again.
    ADD COLUMN idle_minutes integer CHECK (idle_minutes BETWEEN 2 AND 43200),
    ADD COLUMN stop_minutes integer CHECK (stop_minutes BETWEEN 0 AND 43200),
    ADD COLUMN end_minutes integer CHECK (end_minutes BETWEEN 0 AND 43200),
    ADD COLUMN max_minutes integer CHECK (max_minutes BETWEEN 2 AND 43200);

-- touched_at stays for instances of the former version, which run beside the new ones for a moment.
ALTER TABLE sessions
    ADD COLUMN active_at timestamptz,
    ADD COLUMN rest text NOT NULL DEFAULT 'awake' CHECK (rest IN ('awake', 'asleep', 'stopped')),
    ADD COLUMN rested_at timestamptz,
    -- NULL: what its lesson gives; it was never extended.
    ADD COLUMN deadline timestamptz,
    ADD COLUMN extended integer NOT NULL DEFAULT 0 CHECK (extended >= 0),
    ADD CHECK ((rest = 'awake') = (rested_at IS NULL)),
    DROP CONSTRAINT sessions_ended_by_check,
    ADD CONSTRAINT sessions_ended_by_check CHECK (ended_by IN ('student', 'idle', 'deadline', 'reset', 'other'));
UPDATE sessions SET active_at = touched_at;
ALTER TABLE sessions ALTER COLUMN active_at SET DEFAULT now(), ALTER COLUMN active_at SET NOT NULL;

CREATE TABLE timetable (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    course_id text NOT NULL REFERENCES courses ON DELETE CASCADE,
    starts_at timestamptz NOT NULL,
    ends_at timestamptz NOT NULL,
    -- Students that are expected: so many containers wait for them when it begins.
    seats integer NOT NULL DEFAULT 0 CHECK (seats BETWEEN 0 AND 10000),
    CHECK (ends_at > starts_at)
);
CREATE INDEX timetable_course ON timetable (course_id, starts_at);
