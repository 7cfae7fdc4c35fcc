ALTER TABLE containers DROP COLUMN member;
