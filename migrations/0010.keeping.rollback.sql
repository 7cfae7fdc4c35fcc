DROP TABLE timetable;
UPDATE sessions SET ended_by = 'idle' WHERE ended_by = 'deadline';
UPDATE sessions SET ended_by = 'other' WHERE ended_by = 'reset';
ALTER TABLE sessions
    DROP CONSTRAINT sessions_ended_by_check,
    ADD CONSTRAINT sessions_ended_by_check CHECK (ended_by IN ('student', 'idle', 'other')),
    DROP COLUMN active_at, DROP COLUMN rest, DROP COLUMN rested_at, DROP COLUMN deadline, DROP COLUMN extended;
ALTER TABLE courses DROP COLUMN idle_minutes, DROP COLUMN stop_minutes, DROP COLUMN end_minutes, DROP COLUMN max_minutes;
