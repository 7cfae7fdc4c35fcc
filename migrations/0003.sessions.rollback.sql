DROP TABLE terminals;
DROP TABLE containers;
DROP TABLE sessions;
