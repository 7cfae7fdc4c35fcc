-- depends: 0013.room
-- Which host of an LXD cluster a container is on; empty: there is no cluster.
ALTER TABLE containers ADD COLUMN member text NOT NULL DEFAULT '';
