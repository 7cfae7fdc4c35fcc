-- depends: 0006.grants
-- Raised hands: a student in a lab asks for somebody, one instructor of the course comes. Resolved ones stay: who waited how long.
CREATE TABLE hands (
    id text PRIMARY KEY CHECK (id ~ '^[a-z0-9]{20}$'),
    session_id text NOT NULL REFERENCES sessions ON DELETE CASCADE,
    -- The tab that was in front. It may be closed before somebody comes, so it is no reference.
    terminal_id text CHECK (terminal_id ~ '^[a-z0-9]{20}$'),
    raised_at timestamptz NOT NULL DEFAULT now(),
    -- A claim goes with its instructor's account: the hand is in the queue again.
    claimed_by bigint REFERENCES users ON DELETE SET NULL,
    claimed_at timestamptz,
    -- A hand whose session has ended is down, too, without a word here.
    resolved_at timestamptz,
    resolved_by bigint REFERENCES users ON DELETE SET NULL,
    CHECK (claimed_by IS NULL OR claimed_at IS NOT NULL),
    CHECK (resolved_by IS NULL OR resolved_at IS NOT NULL)
);
-- One at a time: a second press finds the first.
CREATE UNIQUE INDEX hands_open ON hands (session_id) WHERE resolved_at IS NULL;
