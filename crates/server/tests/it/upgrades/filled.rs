//! An installation with data in every table, made through the Administration API and the gateway.

use std::collections::BTreeMap;

use reqwest::Method;
use serde_json::{Value, json};

use super::answers;
use super::fixture::Fixture;
use crate::api::Api;
use crate::authority::Authority;
use crate::installation::Installation;
use crate::mail_server::{self, MailServer, accept, free_port, token};
use crate::model_server::{ModelServer, PRICES};

/// The model that every stored installation has called.
pub(super) const MODEL: &str = PRICES[0].model;
const SECONDS_PER_DAY: i64 = 86_400;
/// The session whose request and slice are left; none has a higher number.
const LOST_EPOCH_ID: i64 = i64::MAX;
/// Age, in days, of an event that the ledger did not take: before the span of the recorded reports.
const SET_ASIDE_AGE: i64 = 5;

/// Fills an installation and stops its server.
pub(super) async fn filled() -> (Installation, Fixture) {
    let model_server = ModelServer::start();
    let port = free_port();
    let mails = MailServer::start(port);
    let settings = format!(
        "{}[bodies]\nkeep_days = 30\n{}stores = true\n{}",
        mail_server::settings(port),
        model_server.upstream("/v1", &[MODEL]),
        PRICES[0].setting()
    );
    let installation = Installation::new(&settings);
    let (server, admin) = installation.first_serve();
    let mut world = World {
        admin: admin.clone(),
        ids: BTreeMap::new(),
    };
    world.people(&mails).await;
    drop(mails);
    let (project_key, reporter_key) = world.project().await;
    world.roles().await;
    world.settings().await;
    let application = server.api(&project_key);
    world.batch(&application).await;
    let request_id = world.call(&application).await;
    world.report(&server.api(&reporter_key)).await;
    world.alert_mails(&installation).await;

    let today = now() / SECONDS_PER_DAY * SECONDS_PER_DAY;
    let (start, end) = (today - 2 * SECONDS_PER_DAY, today + SECONDS_PER_DAY);
    let span = format!("?start_time={start}&end_time={end}&bucket_width=1d&limit=7");
    let reports = format!("/organization/usage/completions{span}");
    poll::until("the call in the report", async || {
        let report = admin.get(&reports).await;
        report["data"]
            .to_string()
            .contains("\"num_model_requests\":2")
    })
    .await;
    let url = installation.database_url();
    poll::until("the refusals", async || {
        testkit::row_counts(&url)["refusals"] > 0
    })
    .await;
    poll::until("the bodies", async || {
        testkit::row_counts(&url)["bodies"] > 0
    })
    .await;
    poll::until("the windows of rate limits", async || {
        testkit::row_counts(&url)["limit_windows"] > 0
    })
    .await;
    let mut fixture = Fixture::default();
    fixture.known.answers = answers::record(&admin, &world.ids, &span).await;
    fixture.known.admin_key = admin.key;
    fixture.known.project_key = project_key;
    fixture.known.request_id = request_id;
    server.stop();
    left_over(&installation, &world.ids["project_id"]).await;
    sign_in(&installation, &world.ids["user_id"]).await;
    (installation, fixture)
}

/// Returns the seconds since 1970.
fn now() -> i64 {
    base::Clock::system().now().0
}

/// The Administration API, and the ids of what was made.
struct World {
    admin: Api,
    ids: BTreeMap<&'static str, String>,
}

impl World {
    async fn make(&mut self, parameter: &'static str, path: &str, body: Value) -> Value {
        let made = self.admin.post(path, &body).await;
        let id = made["id"].as_str().expect("an id").to_owned();
        self.ids.insert(parameter, id);
        made
    }

    fn project_path(&self, rest: &str) -> String {
        format!("/organization/projects/{}/{rest}", self.ids["project_id"])
    }

    /// Invites a user, who accepts, and another, who does not.
    async fn people(&mut self, mails: &MailServer) {
        let invite = json!({"email": "grace@example.com", "role": "reader"});
        self.admin.post("/organization/invites", &invite).await;
        let body = json!({"token": token(&mails.first(1)[0]), "name": "Grace"});
        let (status, user) = accept(&self.admin, &body).await;
        assert_eq!(status, 200, "{user}");
        let user = user["id"].as_str().expect("an id").to_owned();
        self.ids.insert("user_id", user);
        let invite = json!({"email": "alan@example.com", "role": "owner"});
        self.make("invite_id", "/organization/invites", invite)
            .await;
        mails.first(2);
        let body = json!({"name": "Second", "expires_in_seconds": 31_536_000});
        self.make("key_id", "/organization/admin_api_keys", body)
            .await;
    }

    /// Makes a project with members, a service account and keys; returns the account's key and a user's.
    async fn project(&mut self) -> (String, String) {
        self.make(
            "project_id",
            "/organization/projects",
            json!({"name": "Search"}),
        )
        .await;
        let body = json!({"user_id": self.ids["user_id"], "role": "member"});
        self.admin.post(&self.project_path("users"), &body).await;
        let body = json!({"name": "Of Grace", "user_id": self.ids["user_id"]});
        let path = self.project_path("api_keys");
        let key = self.make("api_key_id", &path, body).await;
        let reporter_key = key["value"].as_str().expect("a key").to_owned();
        let own = json!({"name": "Own", "project_id": self.ids["project_id"]});
        self.admin.post("/organization/me/api_keys", &own).await;
        let path = self.project_path("service_accounts");
        let account = self
            .make("service_account_id", &path, json!({"name": "Crawler"}))
            .await;
        let key = account["api_key"]["value"].as_str().expect("a key");
        (key.to_owned(), reporter_key)
    }

    /// Makes a group and roles, and assigns them in the organization and in the project.
    async fn roles(&mut self) {
        self.make(
            "group_id",
            "/organization/groups",
            json!({"name": "Research"}),
        )
        .await;
        let (group, user) = (self.ids["group_id"].clone(), self.ids["user_id"].clone());
        let member = json!({"user_id": user});
        let path = format!("/organization/groups/{group}/users");
        self.admin.post(&path, &member).await;
        let path = self.project_path("groups");
        let body = json!({"group_id": group, "role": "role-api-project-member"});
        self.admin.post(&path, &body).await;
        let body = json!({"role_name": "Auditor", "permissions": ["api.groups.read"]});
        self.make("role_id", "/organization/roles", body).await;
        let project = format!("/projects/{}", self.ids["project_id"]);
        let body = json!({"role_name": "Reporter", "permissions": ["api.usage.write"]});
        self.make("project_role_id", &format!("{project}/roles"), body)
            .await;
        for (place, role) in [
            ("/organization".to_owned(), "role_id"),
            (project, "project_role_id"),
        ] {
            let body = json!({"role_id": self.ids[role]});
            for principal in [format!("users/{user}"), format!("groups/{group}")] {
                let path = format!("{place}/{principal}/roles");
                self.admin.post(&path, &body).await;
            }
        }
    }

    /// Sets every setting there is, so that calls of [`MODEL`] pass.
    async fn settings(&mut self) {
        let admin = self.admin.clone();
        let body = json!({"mode": "allow_list", "model_ids": [MODEL]});
        admin
            .post(&self.project_path("model_permissions"), &body)
            .await;
        let body = json!({"web_search": {"enabled": false}});
        admin
            .post(&self.project_path("hosted_tool_permissions"), &body)
            .await;
        let body = json!({"default": "fast", "enabled_tiers": ["fast"]});
        admin
            .post(&self.project_path("service_tier_settings"), &body)
            .await;
        let limits = admin.get(&self.project_path("rate_limits")).await;
        let limit = limits["data"][0]["id"].as_str().expect("an id");
        let path = self.project_path(&format!("rate_limits/{limit}"));
        admin
            .post(&path, &json!({"max_requests_per_1_minute": 500}))
            .await;
        let retention = json!({"retention_type": "none"});
        admin
            .post(&self.project_path("data_retention"), &retention)
            .await;

        let limit = json!({"threshold_amount": 100_000, "currency": "USD", "interval": "month"});
        admin.post("/organization/spend_limit", &limit).await;
        admin.post(&self.project_path("spend_limit"), &limit).await;
        let alert = |cents: i64| {
            json!({"threshold_amount": cents, "currency": "USD", "interval": "month",
                   "notification_channel": {"type": "email", "recipients": ["ops@example.com"]}})
        };
        self.make("alert_id", "/organization/spend_alerts", alert(100))
            .await;
        let path = self.project_path("spend_alerts");
        self.make("project_alert_id", &path, alert(90_000)).await;

        let mut certificates = Vec::new();
        for name in ["First", "Second"] {
            let body = json!({"name": name, "certificate": Authority::new(name).pem()});
            let path = "/organization/certificates";
            certificates.push(self.make("certificate_id", path, body).await["id"].clone());
        }
        // Keys of a project with an active authority need a client certificate, so it is another project's.
        let other = admin
            .post("/organization/projects", &json!({"name": "Locked"}))
            .await;
        let other = other["id"].as_str().expect("an id");
        let path = format!("/organization/projects/{other}/certificates/activate");
        admin
            .post(&path, &json!({"certificate_ids": certificates}))
            .await;
    }

    /// Makes a batch, which reserves what it may cost.
    async fn batch(&self, application: &Api) {
        let request = json!({"model": MODEL, "max_tokens": 1000, "messages": []});
        let line = json!({"custom_id": "a", "method": "POST", "url": "/v1/chat/completions",
                          "body": request});
        let body = format!(
            "--xx\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nbatch\r\n\
             --xx\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.jsonl\"\r\n\
             Content-Type: application/octet-stream\r\n\r\n{line}\r\n--xx--\r\n"
        );
        let request = application.request(Method::POST, "/files");
        let request = request.header("content-type", "multipart/form-data; boundary=xx");
        let answer = request.body(body).send().await.expect("an answer");
        let file: Value = answer.json().await.expect("JSON");
        let body = json!({"input_file_id": file["id"], "endpoint": "/v1/chat/completions",
                          "completion_window": "24h"});
        application.post("/batches", &body).await;
    }

    /// Calls the model; returns the id of the request.
    async fn call(&self, application: &Api) -> String {
        let body = json!({"model": MODEL, "max_tokens": 50,
                          "messages": [{"role": "user", "content": "Say hello."}]});
        let request = application
            .request(Method::POST, "/chat/completions")
            .json(&body);
        let answer = request.send().await.expect("an answer");
        assert_eq!(answer.status(), 200);
        let id = answer.headers()["x-request-id"].to_str().expect("an id");
        let id = id.to_owned();
        drop(answer.bytes().await);
        let refused = json!({"model": "unknown", "messages": []});
        let refused = application.try_post("/chat/completions", &refused).await;
        assert_eq!(refused.expect("an answer").0, 404);
        id
    }

    /// Reports an event of every kind, with a key of the project.
    async fn report(&self, reporter: &Api) {
        let kinds = [
            json!({"type": "completions", "model": MODEL, "input_tokens": 2_000_000, "output_tokens": 10}),
            json!({"type": "embeddings", "model": "e", "input_tokens": 10}),
            json!({"type": "moderations", "model": "m", "input_tokens": 10}),
            json!({"type": "images", "model": "i", "images": 2, "size": "256x256", "source": "image.edit"}),
            json!({"type": "audio_speeches", "model": "s", "characters": 10}),
            json!({"type": "audio_transcriptions", "model": "t", "seconds": 10}),
            json!({"type": "vector_stores", "usage_bytes": 10}),
            json!({"type": "code_interpreter_sessions", "num_sessions": 1}),
            json!({"type": "file_search_calls", "vector_store_id": "vs_1", "num_requests": 1}),
            json!({"type": "web_search_calls", "model": MODEL, "context_level": "low", "num_requests": 1}),
            json!({"type": "decisions", "model": MODEL, "api_source": "agents_api", "input_tokens": 10, "output_tokens": 0}),
        ];
        for (number, mut event) in kinds.into_iter().enumerate() {
            event["id"] = json!(format!("event-{number}"));
            event["timestamp"] = json!(now());
            event["project_id"] = json!(self.ids["project_id"]);
            let answer = reporter
                .post("/organization/usage/events", &json!([event]))
                .await;
            assert_eq!(answer["accepted"], 1, "{answer}");
        }
    }

    /// Waits until an alert is written down and its mail waits, since the mail server is gone.
    async fn alert_mails(&self, installation: &Installation) {
        let url = installation.database_url();
        let is_there = async || testkit::row_counts(&url)["spend_notices"] > 0;
        poll::until("the notice of an alert", is_there).await;
    }
}

/// Puts an event beside the ledger, as if the ledger had refused it. The next start takes it in.
async fn left_over(installation: &Installation, project: &str) {
    let store = store::Store::open(&installation.database_url()).await;
    let store = store.expect("the database");
    let time = now() - SET_ASIDE_AGE * SECONDS_PER_DAY;
    let event = json!({
        "id": "req_aside", "timestamp": time, "organization_id": "org-x", "type": "completions",
        "project_id": project, "batch": false, "quantities": [["input_tokens", 7]], "estimated": false,
        "outcome": "succeeded"
    });
    let insert = store::sql!(
        "INSERT INTO usage_set_aside (set_aside_at, reason, event) VALUES ($1, $2, $3)",
        time,
        "the database was full",
        event.to_string().into_bytes()
    );
    let request = json!({
        "id": "req_lost", "timestamp": time, "organization_id": "org-x", "type": "completions",
        "project_id": project, "batch": false, "quantities": [["input_tokens", 7]], "estimated": true,
        "outcome": "node_lost"
    });
    let under_way = store::sql!(
        "INSERT INTO under_way (id, epoch, event) VALUES ('req_lost', $1, $2)",
        LOST_EPOCH_ID,
        request.to_string().into_bytes()
    );
    let slice = store::sql!(
        "INSERT INTO spend_slices (month, organization_id, project_id, epoch, amount, changes, refused) \
         VALUES (0, 'org-x', $1, $2, 7, 1, 0)",
        project,
        LOST_EPOCH_ID
    );
    let mut transaction = store.usage().begin().await.expect("a transaction");
    for insert in [insert, under_way, slice] {
        transaction.execute(insert).await.expect("inserted");
    }
    transaction.commit().await.expect("committed");
}

/// Adds all that is stored of a user who signs in.
async fn sign_in(installation: &Installation, user: &str) {
    let store = store::Store::open(&installation.database_url()).await;
    let store = store.expect("the database");
    let (hash, at) = (vec![1; 32], now());
    let inserts = [
        store::sql!(
            "INSERT INTO sessions (organization_id, id, user_id, hash, method, created_at, authenticated_at, \
                 last_seen_at, expires_at) \
             SELECT organization_id, 'sess_1', id, $2, 'password', $3, $3, $3, $3 FROM users WHERE id = $1",
            user,
            hash.clone(),
            at
        ),
        store::sql!(
            "INSERT INTO passwords (organization_id, user_id, hash, set_at) \
             SELECT organization_id, id, '$argon2id$', $2 FROM users WHERE id = $1",
            user,
            at
        ),
        store::sql!(
            "INSERT INTO sign_in_links (organization_id, id, user_id, token_hash, origin, created_at, expires_at) \
             SELECT organization_id, 'link_1', id, $2, 'mail', $3, $3 FROM users WHERE id = $1",
            user,
            hash.clone(),
            at
        ),
        store::sql!(
            "INSERT INTO identities (organization_id, issuer, subject, user_id, provider, linked_at) \
             SELECT organization_id, 'https://id.example', '1', id, 'main', $2 FROM users WHERE id = $1",
            user,
            at
        ),
        store::sql!(
            "INSERT INTO sign_in_failures (account, failures, last_failed_at, unreported) VALUES ($1, 1, $2, 0)",
            hash,
            at
        ),
    ];
    let mut transaction = store.begin_untracked().await.expect("a transaction");
    for insert in inserts {
        transaction.execute(insert).await.expect("inserted");
    }
    transaction.commit().await.expect("committed");
}
