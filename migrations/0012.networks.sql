-- depends: 0011.kept
-- Networks of labs: which host names a closed lesson's labs may reach, and the address of a container that has a network device.
ALTER TABLE lessons DROP CONSTRAINT lessons_network_check;
ALTER TABLE lessons
    ADD CONSTRAINT lessons_network_check CHECK (network IN ('none', 'closed', 'internet')),
    -- Exact names, or *.example.org for all below it; small letters.
    ADD COLUMN hosts text[] NOT NULL DEFAULT '{}',
    ADD CONSTRAINT lessons_hosts_closed CHECK ((network = 'closed') = (cardinality(hosts) > 0)),
    ADD CONSTRAINT lessons_hosts_names CHECK (cardinality(hosts) <= 100 AND array_position(hosts, NULL) IS NULL
        AND (cardinality(hosts) = 0 OR array_to_string(hosts, ' ')
            ~ '^((\*\.)?([a-z0-9-]+\.)+[a-z][a-z0-9-]*( |$))+$'));
-- By it the forward proxy knows whose lab asks; LXD drops what comes from another one.
ALTER TABLE containers
    ADD COLUMN address inet UNIQUE,
    ADD CONSTRAINT containers_network_address CHECK ((network = 'none') = (address IS NULL));
