-- depends: 0007.hands
-- Containers that wait for their session, with a shell that waits in them, and starts that any instance can go on with.
ALTER TABLE containers
    ALTER COLUMN session_id DROP NOT NULL,
    -- The stopped template that it is a copy of: its name holds the image's fingerprint and the holder's hash.
    ADD COLUMN template text NOT NULL DEFAULT '',
    ADD COLUMN network text NOT NULL DEFAULT 'none',
    -- The lesson's needs that it was made for, or fitted to since.
    ADD COLUMN needs jsonb NOT NULL DEFAULT '{}',
    -- The instance that works on it, and when that last said so.
    ADD COLUMN maker text NOT NULL DEFAULT '',
    ADD COLUMN heard_at timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN frozen boolean NOT NULL DEFAULT false,
    -- The shell that waits in it.
    ADD COLUMN terminal_id text CHECK (terminal_id ~ '^[a-z0-9]{20}$'),
    ADD COLUMN birth bytea CHECK (length(birth) = 16),
    ADD CHECK (state <> 'taken' OR session_id IS NOT NULL),
    ADD CHECK (state <> 'ready' OR session_id IS NULL),
    ADD CHECK ((terminal_id IS NULL) = (birth IS NULL));
CREATE INDEX containers_ready ON containers (template, network) WHERE state = 'ready';
-- started_by NULL: it waits. picked_at and live_at: how long a start takes, for those who wait.
ALTER TABLE sessions
    ALTER COLUMN started_by DROP NOT NULL,
    ADD COLUMN picked_at timestamptz,
    ADD COLUMN live_at timestamptz;
CREATE INDEX sessions_starting ON sessions (created_at, id) WHERE state = 'starting';
CREATE INDEX sessions_live_at ON sessions (live_at DESC) WHERE live_at IS NOT NULL;
