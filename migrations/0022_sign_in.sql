-- How users sign in: their sessions, passwords, links, and accounts at identity providers.

CREATE TABLE sessions (
    organization_id TEXT NOT NULL REFERENCES organizations (id),
    id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    -- A keyed hash of the token in the cookie, which is kept nowhere.
    hash BYTEA NOT NULL,
    -- The proof of identity: 'password', 'link', 'invite' or 'provider'.
    method TEXT NOT NULL,
    -- The identity provider's name in the configuration, its issuer, and the ids of the user and of the session there.
    provider TEXT,
    issuer TEXT,
    subject TEXT,
    provider_session TEXT,
    ip_address TEXT,
    user_agent TEXT,
    created_at BIGINT NOT NULL,
    -- The time of the proof of identity.
    authenticated_at BIGINT NOT NULL,
    last_seen_at BIGINT NOT NULL,
    -- The end, however much the session is used.
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (organization_id, id),
    FOREIGN KEY (organization_id, user_id) REFERENCES users (organization_id, id)
);
CREATE UNIQUE INDEX sessions_by_hash ON sessions (hash);
CREATE INDEX sessions_by_user ON sessions (organization_id, user_id, id);
CREATE INDEX sessions_by_subject ON sessions (organization_id, issuer, subject);

CREATE TABLE passwords (
    organization_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    -- Argon2id with its parameters and its salt, in the PHC string format.
    hash TEXT NOT NULL,
    set_at BIGINT NOT NULL,
    PRIMARY KEY (organization_id, user_id),
    FOREIGN KEY (organization_id, user_id) REFERENCES users (organization_id, id)
);

-- A sign-in names an address and no organization.
CREATE INDEX users_by_email ON users (email_key);

-- Failed sign-ins of accounts, whether they exist or not, so that all nodes throttle alike.
CREATE TABLE sign_in_failures (
    -- A keyed hash of the address; two bytes of it where no user has the address, so that the number of rows is bounded.
    account BYTEA PRIMARY KEY,
    -- Attempts since the last success, each counted before its password is checked.
    failures BIGINT NOT NULL,
    last_failed_at BIGINT NOT NULL,
    -- Failures since the last entry of the audit log, and the time of that entry.
    unreported BIGINT NOT NULL,
    reported_at BIGINT
);
CREATE INDEX sign_in_failures_by_time ON sign_in_failures (last_failed_at);

CREATE TABLE sign_in_links (
    organization_id TEXT NOT NULL,
    id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    -- A keyed hash of the token in the link, which is kept nowhere once it is shown or sent.
    token_hash BYTEA NOT NULL,
    -- What made the link: 'mail', 'command' or 'first_start'.
    origin TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (organization_id, id),
    FOREIGN KEY (organization_id, user_id) REFERENCES users (organization_id, id)
);
CREATE UNIQUE INDEX sign_in_links_by_token ON sign_in_links (token_hash);
CREATE INDEX sign_in_links_by_user ON sign_in_links (organization_id, user_id, id);

-- Accounts at identity providers. A user is found by issuer and subject, never by the address alone.
CREATE TABLE identities (
    organization_id TEXT NOT NULL,
    issuer TEXT NOT NULL,
    subject TEXT NOT NULL,
    user_id TEXT NOT NULL,
    -- The provider's name in the configuration, and the address that it gave last.
    provider TEXT NOT NULL,
    email TEXT,
    linked_at BIGINT NOT NULL,
    last_used_at BIGINT,
    PRIMARY KEY (organization_id, issuer, subject),
    FOREIGN KEY (organization_id, user_id) REFERENCES users (organization_id, id)
);
CREATE INDEX identities_by_user ON identities (organization_id, user_id);
