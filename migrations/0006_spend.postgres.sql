-- The sums of bills by calendar month (UTC) and project, in nano-dollars: what spend limits and spend alerts go by.
CREATE TABLE spend_months (
    -- Its first second.
    month BIGINT NOT NULL,
    organization_id TEXT NOT NULL,
    project_id TEXT NOT NULL,
    amount BIGINT NOT NULL,
    -- Grows with every change, so that whoever keeps a copy knows when it is old.
    changes BIGINT NOT NULL,
    PRIMARY KEY (month, organization_id, project_id)
);

INSERT INTO spend_months (month, organization_id, project_id, amount, changes)
SELECT CAST(EXTRACT(EPOCH FROM date_trunc('month', to_timestamp(c.bucket) AT TIME ZONE 'UTC')) AS BIGINT),
    s.organization_id, s.project_id, CAST(SUM(c.amount) AS BIGINT), 1
FROM cost_days c JOIN usage_series s ON s.id = c.series_id
GROUP BY 1, 2, 3 HAVING SUM(c.amount) <> 0;
