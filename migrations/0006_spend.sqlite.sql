-- The sums of bills by calendar month (UTC) and project, in nano-dollars: what spend limits and spend alerts go by.
CREATE TABLE spend_months (
    -- Its first second.
    month INTEGER NOT NULL,
    organization_id TEXT NOT NULL,
    project_id TEXT NOT NULL,
    amount INTEGER NOT NULL,
    -- Grows with every change, so that whoever keeps a copy knows when it is old.
    changes INTEGER NOT NULL,
    PRIMARY KEY (month, organization_id, project_id)
) STRICT, WITHOUT ROWID;

INSERT INTO spend_months (month, organization_id, project_id, amount, changes)
SELECT CAST(strftime('%s', c.bucket, 'unixepoch', 'start of month') AS INTEGER), s.organization_id, s.project_id,
    SUM(c.amount), 1
FROM cost_days c JOIN usage_series s ON s.id = c.series_id
GROUP BY 1, 2, 3 HAVING SUM(c.amount) <> 0;
