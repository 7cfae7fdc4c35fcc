UPDATE containers SET state = 'gone' WHERE network <> 'none' AND state IN ('warming', 'ready', 'kept');
ALTER TABLE containers DROP COLUMN address;
UPDATE lessons SET network = 'none';
ALTER TABLE lessons DROP COLUMN hosts, DROP CONSTRAINT lessons_network_check;
ALTER TABLE lessons ADD CONSTRAINT lessons_network_check CHECK (network IN ('none'));
