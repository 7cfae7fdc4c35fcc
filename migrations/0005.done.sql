-- depends: 0004.titles
-- My lessons asks for each lesson whether it was done; ended sessions are kept for ever.
CREATE INDEX sessions_done ON sessions (user_id, lesson_id) WHERE state = 'ended' AND error_code IS NULL;
