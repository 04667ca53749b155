-- Spend alerts that have been mailed.

-- Since when the threshold is what it is: a month that ended before then is not told of. 0: since ever.
ALTER TABLE spend_alerts ADD COLUMN threshold_set_at BIGINT NOT NULL DEFAULT 0;

-- Each is mailed of once, in the transaction of its row.
CREATE TABLE spend_notices (
    organization_id TEXT NOT NULL REFERENCES organizations (id),
    project_id TEXT NOT NULL,
    alert_id TEXT NOT NULL,
    -- The first second of the month.
    month BIGINT NOT NULL,
    -- The threshold that was reached, in US cents.
    threshold_amount BIGINT NOT NULL,
    PRIMARY KEY (organization_id, project_id, alert_id, month, threshold_amount)
);
