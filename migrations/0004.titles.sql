-- depends: 0003.sessions
-- Terminals get names that people give them; a session remembers what ended it.
ALTER TABLE terminals ADD COLUMN title text CHECK (length(title) BETWEEN 1 AND 40);
ALTER TABLE sessions ADD COLUMN ended_by text NOT NULL DEFAULT 'other' CHECK (ended_by IN ('student', 'idle', 'other'));
