-- depends: 0002.courses
-- Sessions, their containers and terminals. Ids are random: they stand in addresses.
CREATE TABLE sessions (
    id text PRIMARY KEY CHECK (id ~ '^[a-z0-9]{20}$'),
    user_id bigint NOT NULL REFERENCES users ON DELETE CASCADE,
    lesson_id text NOT NULL REFERENCES lessons ON DELETE CASCADE,
    state text NOT NULL DEFAULT 'starting' CHECK (state IN ('starting', 'live', 'ended')),
    -- While starting: which instance works on it, what it does now, and when it last said so (stale = that instance died).
    started_by text NOT NULL,
    step text NOT NULL DEFAULT 'Waiting for a place',
    steps_done integer NOT NULL DEFAULT 0,
    heard_at timestamptz NOT NULL DEFAULT now(),
    error_code text,
    error_message text,
    created_at timestamptz NOT NULL DEFAULT now(),
    -- The last time that somebody had it open.
    touched_at timestamptz NOT NULL DEFAULT now(),
    ended_at timestamptz,
    CHECK ((state = 'ended') = (ended_at IS NOT NULL)),
    CHECK ((error_code IS NULL) = (error_message IS NULL))
);
-- One running session of a lesson for each user: a second Start finds the first.
CREATE UNIQUE INDEX sessions_running ON sessions (user_id, lesson_id) WHERE state <> 'ended';
CREATE INDEX sessions_touched ON sessions (touched_at) WHERE state <> 'ended';

CREATE TABLE containers (
    -- The LXD instance's name.
    name text PRIMARY KEY CHECK (name ~ '^[a-z][a-z0-9-]{0,62}$'),
    session_id text NOT NULL UNIQUE REFERENCES sessions ON DELETE RESTRICT,
    state text NOT NULL DEFAULT 'warming' CHECK (state IN ('warming', 'ready', 'taken', 'gone')),
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE terminals (
    id text PRIMARY KEY CHECK (id ~ '^[a-z0-9]{20}$'),
    session_id text NOT NULL REFERENCES sessions ON DELETE CASCADE,
    position integer NOT NULL,
    -- The generation of ownership: raised by the one UPDATE that claims, enforced by the holder.
    epoch bigint NOT NULL DEFAULT 0 CHECK (epoch >= 0),
    owner text,
    -- The pty's random id, once an owner has seen its holder: from then on only attach, never start.
    birth bytea CHECK (length(birth) = 16),
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (session_id, position)
);
