-- Requests that are forwarded and have no row in the ledger yet. The transaction that writes the row deletes them here; what a
-- session leaves behind becomes rows of the outcome node_lost.
CREATE TABLE under_way (
    -- The id of the request, which is that of its row.
    id TEXT PRIMARY KEY,
    -- The session of the process that forwards the request; 0 on SQLite, which one process serves.
    epoch BIGINT NOT NULL,
    -- The event that is recorded if the process dies, as JSON.
    event BYTEA NOT NULL
);
CREATE INDEX under_way_by_epoch ON under_way (epoch);

-- Money that sessions may spend without asking again. In a month, what is spent and all slices are together at most the spend
-- limit, of an organization and of each of its projects. Has no rows on SQLite.
CREATE TABLE spend_slices (
    -- The first second of the month.
    month BIGINT NOT NULL,
    organization_id TEXT NOT NULL,
    project_id TEXT NOT NULL,
    epoch BIGINT NOT NULL,
    -- In nano-dollars: reserved for requests under way, or free.
    amount BIGINT NOT NULL CHECK (amount >= 0),
    -- Grows with every change, so that a session knows which of two values is newer.
    changes BIGINT NOT NULL,
    -- When the session was last refused for this project, 0 if never: the others give back what they do not need.
    refused BIGINT NOT NULL,
    PRIMARY KEY (month, organization_id, project_id, epoch)
);
CREATE INDEX spend_slices_by_epoch ON spend_slices (epoch);
