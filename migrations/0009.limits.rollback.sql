UPDATE lessons l SET
    memory = coalesce(l.memory, c.memory, '512MiB'), cpu = coalesce(l.cpu, c.cpu, '1'),
    processes = coalesce(l.processes, c.processes, 500), disk = coalesce(l.disk, c.disk, '3GiB')
FROM courses c WHERE c.id = l.course_id;
ALTER TABLE courses DROP COLUMN memory, DROP COLUMN cpu, DROP COLUMN processes, DROP COLUMN disk, DROP COLUMN output;
ALTER TABLE lessons
    DROP COLUMN output,
    ALTER COLUMN memory SET DEFAULT '512MiB', ALTER COLUMN memory SET NOT NULL,
    ALTER COLUMN cpu SET DEFAULT '1', ALTER COLUMN cpu SET NOT NULL,
    ALTER COLUMN processes SET DEFAULT 500, ALTER COLUMN processes SET NOT NULL,
    ALTER COLUMN disk SET DEFAULT '3GiB', ALTER COLUMN disk SET NOT NULL;
