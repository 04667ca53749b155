-- Rate limits: the windows of a name in a project, by node. Nodes that share limits replace a row only if it has the version
-- that they have read.
CREATE TABLE limit_windows (
    project TEXT NOT NULL,
    -- A model, or another name that requests are counted under.
    model TEXT NOT NULL,
    version BIGINT NOT NULL,
    -- The use by each node, and what it may still use.
    parts BYTEA NOT NULL,
    -- When nothing of this is within a window any more, in milliseconds since 1970.
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (project, model)
);
CREATE INDEX limit_windows_expiry ON limit_windows (expires_at);
