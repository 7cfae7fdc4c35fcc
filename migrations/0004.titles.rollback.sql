ALTER TABLE sessions DROP COLUMN ended_by;
ALTER TABLE terminals DROP COLUMN title;
