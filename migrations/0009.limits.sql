-- depends: 0008.pool
-- Limits: a lesson's NULL is its course's, a course's NULL is the deployment's (LIMIT_… in its environment).
-- Lessons keep what they have: nobody can tell a default from a choice any more.
ALTER TABLE lessons
    ALTER COLUMN memory DROP DEFAULT, ALTER COLUMN memory DROP NOT NULL,
    ALTER COLUMN cpu DROP DEFAULT, ALTER COLUMN cpu DROP NOT NULL,
    ALTER COLUMN processes DROP DEFAULT, ALTER COLUMN processes DROP NOT NULL,
    ALTER COLUMN disk DROP DEFAULT, ALTER COLUMN disk DROP NOT NULL,
    -- Bytes per second of one terminal, sustained; 0: as fast as it goes. Less would be felt after Ctrl-C.
    ADD COLUMN output integer CHECK (output = 0 OR output >= 65536);
ALTER TABLE courses
    ADD COLUMN memory text CHECK (memory ~ '^[0-9]+(MiB|GiB)$'),
    ADD COLUMN cpu text CHECK (cpu ~ '^[0-9]+$'),
    ADD COLUMN processes integer CHECK (processes BETWEEN 20 AND 10000),
    ADD COLUMN disk text CHECK (disk ~ '^[0-9]+(MiB|GiB)$'),
    ADD COLUMN output integer CHECK (output = 0 OR output >= 65536);
