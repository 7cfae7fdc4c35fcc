DROP INDEX sessions_done;
