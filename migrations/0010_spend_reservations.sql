-- Money that is set aside for what outlives a request: a batch until it is settled, a day of a vector store's files. Every
-- node counts it as if it were spent.
CREATE TABLE spend_reservations (
    organization_id TEXT NOT NULL,
    -- Made for this table.
    id TEXT NOT NULL,
    project_id TEXT NOT NULL,
    -- In nano-dollars.
    amount BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    -- When it ends by itself; NULL if only what it is for ends it.
    expires_at BIGINT,
    -- What it is for, as its upstream calls it; NULL until that is known.
    object_id TEXT,
    PRIMARY KEY (organization_id, id)
);
CREATE INDEX spend_reservations_by_expiry ON spend_reservations (expires_at) WHERE expires_at IS NOT NULL;

-- What is reserved in sum, written in the same transaction. The row of the project '' has no amount: it is the lock under
-- which reservations of an organization are made, one after the other.
CREATE TABLE spend_reserved (
    organization_id TEXT NOT NULL,
    project_id TEXT NOT NULL,
    amount BIGINT NOT NULL,
    -- Grows with every change.
    changes BIGINT NOT NULL,
    PRIMARY KEY (organization_id, project_id)
);
