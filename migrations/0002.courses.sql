-- depends: 0001.users
-- Courses with their policy and schedule, who is in them, and their lessons.
CREATE TABLE courses (
    id text PRIMARY KEY CHECK (id ~ '^[a-z0-9][a-z0-9-]{0,62}$'),
    title text NOT NULL CHECK (length(title) BETWEEN 1 AND 200),
    join_code text UNIQUE CHECK (join_code ~ '^[A-Z0-9]{6,12}$'),
    -- Watching is visible and consented: what an instructor may do, and whether the student is asked first.
    watching text NOT NULL DEFAULT 'ask' CHECK (watching IN ('off', 'ask', 'notice')),
    assisting text NOT NULL DEFAULT 'ask' CHECK (assisting IN ('off', 'ask')),
    recording text NOT NULL DEFAULT 'off' CHECK (recording IN ('off', 'ask')),
    starts_at timestamptz,
    ends_at timestamptz,
    timezone text NOT NULL DEFAULT 'UTC',
    created_at timestamptz NOT NULL DEFAULT now(),
    CHECK (ends_at IS NULL OR starts_at IS NULL OR ends_at > starts_at)
);

CREATE TABLE enrolments (
    course_id text NOT NULL REFERENCES courses ON DELETE CASCADE,
    user_id bigint NOT NULL REFERENCES users ON DELETE CASCADE,
    role text NOT NULL CHECK (role IN ('student', 'instructor')),
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (course_id, user_id)
);
CREATE INDEX enrolments_user ON enrolments (user_id);

CREATE TABLE lessons (
    id text PRIMARY KEY CHECK (id ~ '^[a-z0-9][a-z0-9-]{0,62}$'),
    course_id text NOT NULL REFERENCES courses ON DELETE CASCADE,
    position integer NOT NULL,
    title text NOT NULL CHECK (length(title) BETWEEN 1 AND 200),
    body text NOT NULL DEFAULT '',
    -- An image alias in our LXD project.
    image text NOT NULL CHECK (image ~ '^[A-Za-z0-9][A-Za-z0-9._/-]{0,127}$'),
    -- LXD's own units: '512MiB', '2', '500', '4GiB'. The disk counts the image.
    memory text NOT NULL DEFAULT '512MiB' CHECK (memory ~ '^[0-9]+(MiB|GiB)$'),
    cpu text NOT NULL DEFAULT '1' CHECK (cpu ~ '^[0-9]+$'),
    processes integer NOT NULL DEFAULT 500 CHECK (processes BETWEEN 20 AND 10000),
    disk text NOT NULL DEFAULT '3GiB' CHECK (disk ~ '^[0-9]+(MiB|GiB)$'),
    network text NOT NULL DEFAULT 'none' CHECK (network IN ('none')),
    root boolean NOT NULL DEFAULT false,
    minutes integer NOT NULL DEFAULT 60 CHECK (minutes BETWEEN 1 AND 1440),
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (course_id, position)
);
