DROP TABLE audits;
DROP FUNCTION refuse_change;
UPDATE courses SET assisting = 'ask' WHERE assisting = 'allow';
ALTER TABLE courses DROP CONSTRAINT courses_watching_check, DROP CONSTRAINT courses_assisting_check;
ALTER TABLE courses
    ALTER COLUMN watching SET DEFAULT 'ask',
    ADD CONSTRAINT courses_watching_check CHECK (watching IN ('off', 'ask', 'notice')),
    ADD CONSTRAINT courses_assisting_check CHECK (assisting IN ('off', 'ask'));
