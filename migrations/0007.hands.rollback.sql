DROP TABLE hands;
