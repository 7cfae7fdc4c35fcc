-- Users: people, and how they sign in.
CREATE TABLE users (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    email text NOT NULL CHECK (email = lower(email) AND position('@' IN email) > 1 AND length(email) <= 254),
    name text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    password_hash text NOT NULL,
    admin boolean NOT NULL DEFAULT false,
    -- Demo accounts have a password that the README prints: they sign in only while DEMO is on.
    demo boolean NOT NULL DEFAULT false,
    -- Sign-ins and resume tickets made before this moment are void.
    revoked_before timestamptz NOT NULL DEFAULT '-infinity',
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX users_email ON users (email);
