DROP INDEX sessions_ended_at;
DROP INDEX sessions_reset;
