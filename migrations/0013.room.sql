-- depends: 0012.networks
-- Who waits for room: a lab that was reset keeps its place, and how often one gets free is told by those that ended of late.
CREATE INDEX sessions_reset ON sessions (user_id, lesson_id, ended_at) WHERE ended_by = 'reset';
CREATE INDEX sessions_ended_at ON sessions (ended_at) WHERE live_at IS NOT NULL;
