-- What clients sent and got, kept for troubleshooting: one row for each body.
CREATE TABLE bodies (
    organization_id TEXT NOT NULL,
    project_id TEXT NOT NULL,
    request_id TEXT NOT NULL,
    -- 'request' or 'answer'.
    side TEXT NOT NULL,
    -- Whether it holds nothing but images or sound, which other settings decide about.
    is_media BOOLEAN NOT NULL,
    -- When the request was admitted.
    created_at BIGINT NOT NULL,
    -- What follows /v1 in the path.
    endpoint TEXT NOT NULL,
    -- As the client named it.
    model TEXT NOT NULL,
    -- Of the answer; NULL when there was none.
    status BIGINT,
    -- How many bytes it had, as far as they were seen, and how many of them are kept.
    length BIGINT NOT NULL,
    kept BIGINT NOT NULL,
    -- These, encrypted with the deployment's secret.
    content BYTEA NOT NULL,
    PRIMARY KEY (organization_id, project_id, request_id, side)
);
CREATE INDEX bodies_by_request ON bodies (request_id);
CREATE INDEX bodies_by_time ON bodies (created_at);
