DROP INDEX sessions_live_at;
DROP INDEX sessions_starting;
UPDATE sessions SET started_by = '' WHERE started_by IS NULL;
ALTER TABLE sessions ALTER COLUMN started_by SET NOT NULL, DROP COLUMN picked_at, DROP COLUMN live_at;
DELETE FROM containers WHERE session_id IS NULL;
ALTER TABLE containers
    ALTER COLUMN session_id SET NOT NULL,
    DROP COLUMN template, DROP COLUMN network, DROP COLUMN needs, DROP COLUMN maker, DROP COLUMN heard_at,
    DROP COLUMN frozen, DROP COLUMN terminal_id, DROP COLUMN birth;
