-- What shows that the secret is the one that keys were hashed with: a hash of a fixed text under it. One row.
CREATE TABLE secret_checks (
    id BIGINT PRIMARY KEY CHECK (id = 1),
    value BYTEA NOT NULL
);
