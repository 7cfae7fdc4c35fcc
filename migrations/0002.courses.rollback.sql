DROP TABLE lessons;
DROP TABLE enrolments;
DROP TABLE courses;
