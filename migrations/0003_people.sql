-- What is known of users, invitations, groups and their access to projects, and the mails that go out.

ALTER TABLE users ADD COLUMN technical_level TEXT;
ALTER TABLE users ADD COLUMN developer_persona TEXT;

CREATE INDEX project_users_by_time ON project_users (organization_id, project_id, added_at, user_id);
CREATE INDEX project_users_by_user ON project_users (organization_id, user_id);
CREATE INDEX api_keys_by_user ON api_keys (organization_id, user_id);

CREATE TABLE invites (
    organization_id TEXT NOT NULL REFERENCES organizations (id),
    id TEXT NOT NULL,
    email TEXT NOT NULL,
    -- The address as it is compared: lower case.
    email_key TEXT NOT NULL,
    -- What the user will be in the organization.
    role TEXT NOT NULL,
    -- What the user will be in projects: a JSON array of {"id", "role"}.
    projects TEXT NOT NULL,
    -- A keyed hash of the token in the mailed link, which is kept nowhere once the mail is sent.
    token_hash BYTEA NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    accepted_at BIGINT,
    PRIMARY KEY (organization_id, id)
);
CREATE UNIQUE INDEX invites_by_token ON invites (token_hash);
CREATE INDEX invites_by_email ON invites (organization_id, email_key);

CREATE TABLE groups (
    organization_id TEXT NOT NULL REFERENCES organizations (id),
    id TEXT NOT NULL,
    name TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (organization_id, id)
);

CREATE TABLE group_users (
    organization_id TEXT NOT NULL,
    group_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    added_at BIGINT NOT NULL,
    PRIMARY KEY (organization_id, group_id, user_id),
    FOREIGN KEY (organization_id, group_id) REFERENCES groups (organization_id, id),
    FOREIGN KEY (organization_id, user_id) REFERENCES users (organization_id, id)
);
CREATE INDEX group_users_by_time ON group_users (organization_id, group_id, added_at, user_id);
CREATE INDEX group_users_by_user ON group_users (organization_id, user_id);

CREATE TABLE project_groups (
    organization_id TEXT NOT NULL,
    project_id TEXT NOT NULL,
    group_id TEXT NOT NULL,
    -- The project role that the group's users have in the project.
    role_id TEXT NOT NULL,
    added_at BIGINT NOT NULL,
    PRIMARY KEY (organization_id, project_id, group_id),
    FOREIGN KEY (organization_id, project_id) REFERENCES projects (organization_id, id),
    FOREIGN KEY (organization_id, group_id) REFERENCES groups (organization_id, id)
);
CREATE INDEX project_groups_by_time ON project_groups (organization_id, project_id, added_at, group_id);
CREATE INDEX project_groups_by_group ON project_groups (organization_id, group_id);

-- Mails, written in the transaction of what they tell of.
CREATE TABLE mails (
    id TEXT PRIMARY KEY,
    organization_id TEXT NOT NULL REFERENCES organizations (id),
    -- The id of what it tells of.
    about TEXT NOT NULL,
    recipient TEXT NOT NULL,
    subject TEXT NOT NULL,
    -- Sealed, since it may hold a credential; NULL once the mail was sent or given up.
    body BYTEA,
    created_at BIGINT NOT NULL,
    -- After this there is no use in sending it.
    expires_at BIGINT NOT NULL,
    attempts BIGINT NOT NULL,
    next_attempt_at BIGINT NOT NULL,
    sent_at BIGINT,
    -- Why it was not sent so far.
    reason TEXT
);
CREATE INDEX mails_waiting ON mails (next_attempt_at) WHERE body IS NOT NULL;
CREATE INDEX mails_by_about ON mails (organization_id, about);
