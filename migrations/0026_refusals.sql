-- Requests that the gateway refused, by day (UTC), project and error code.
CREATE TABLE refusals (
    organization_id TEXT NOT NULL,
    -- The first second of the day.
    day BIGINT NOT NULL,
    project_id TEXT NOT NULL,
    code TEXT NOT NULL,
    requests BIGINT NOT NULL,
    PRIMARY KEY (organization_id, day, project_id, code)
);
