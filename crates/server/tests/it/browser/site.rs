//! An organization with people, projects and usage, whose console browsers visit.

use base::ids::Id;
use base::time::SECONDS_PER_DAY;
use serde_json::{Value, json};
use testkit::{Client, NOW, Server, ServerOptions};
use usage::PriceBook;

use super::scenario;
use crate::sign_in::browser::link;

/// Names that must be shown as text wherever they appear: markup, text that turns around, and length.
const HOSTILE: &str =
    "<i class=hostile onclick=x>\u{202e}txet</i><script>hostileCodeRan = true</script>\"'&";
/// Days of usage.
const USAGE_DAYS_COUNT: i64 = 40;
/// Models with usage; the last one has no price.
const MODELS: [&str; 3] = ["gpt-5", "gpt-5-mini", "house-model"];

const PRICES: &str = "\
[[price]]
model = 'gpt-5'
effective = '2025-01-01'
input = '1.25'
output = '10.00'
[[price]]
model = 'gpt-5-mini'
effective = '2025-01-01'
input = '0.25'
output = '2.00'
";

/// A running server, and what scenarios are told about it.
pub struct Site {
    server: Server,
    base: String,
    project: String,
}

impl Site {
    /// Starts a server with usage of `USAGE_DAYS_COUNT` days.
    pub async fn start() -> Self {
        // Pages are served at the public address only.
        let listener = orgplane::Server::bind(([127, 0, 0, 1], 0).into()).await;
        let listener = listener.expect("a free port");
        let base = format!("http://{}", listener.address());
        let server = Server::with(ServerOptions {
            prices: PriceBook::parse(PRICES).expect("prices"),
            public_url: base.clone(),
            ..ServerOptions::default()
        })
        .await;
        server.serve(listener);
        let project = server.admin();
        let project = project.post("/organization/projects", json!({"name": "Search"}));
        let project = project.await.ok()["id"].as_str().expect("an id").to_owned();
        let site = Self {
            base,
            server,
            project,
        };
        site.fill().await;
        site
    }

    /// Returns the client of an owner.
    pub fn admin(&self) -> Client {
        self.server.admin()
    }

    /// Reports usage, and makes the changes that screens show.
    async fn fill(&self) {
        let mut events = Vec::new();
        for day in 0..USAGE_DAYS_COUNT {
            for (index, model) in (1..).zip(MODELS) {
                events.push(json!({
                    "id": format!("{model}-{day}"), "timestamp": NOW.0 - day * SECONDS_PER_DAY, "type": "completions",
                    "project_id": if index == 1 { self.project.as_str() } else { self.server.default_project_id().as_str() },
                    "model": model, "input_tokens": 10_000 * index, "output_tokens": 1_000 * index,
                    "num_model_requests": 2 * index,
                }));
            }
        }
        for events in events.chunks(60) {
            let admin = self.admin();
            let answer = admin
                .post("/organization/usage/events", json!(events))
                .await;
            assert_eq!(answer.ok()["accepted"], events.len());
        }
        let project = format!("/organization/projects/{}", self.project);
        let limit = json!({"threshold_amount": 10_000, "currency": "USD", "interval": "month"});
        for (path, body) in [
            ("/organization/spend_limit".to_owned(), limit),
            (project, json!({"name": "Search and answers"})),
        ] {
            self.server.clock.advance(1);
            self.admin().post(&path, body).await.ok();
        }
    }

    /// Gives every kind of thing that has a name a hostile one.
    pub async fn name_hostilely(&self) {
        let long = "W".repeat(255);
        for name in [HOSTILE, &long[..]] {
            let admin = self.admin();
            let project = admin.post("/organization/projects", json!({"name": name}));
            let project = project.await.ok()["id"].as_str().expect("an id").to_owned();
            let project = format!("/organization/projects/{project}");
            let account = json!({"name": name});
            let accounts = format!("{project}/service_accounts");
            admin.post(&accounts, account).await.ok();
            let group = json!({"name": name});
            admin.post("/organization/groups", group).await.ok();
            let role = json!({"role_name": name, "permissions": ["api.groups.read"]});
            admin.post("/organization/roles", role).await.ok();
            let key = json!({"name": name});
            admin.post("/organization/admin_api_keys", key).await.ok();
            let event = json!({
                "id": format!("named {}", name.len()), "timestamp": NOW.0 - 60, "type": "completions",
                "project_id": project.rsplit('/').next(), "model": name.chars().take(100).collect::<String>(),
                "input_tokens": 7, "output_tokens": 1,
            });
            let events = admin.post("/organization/usage/events", event);
            assert_eq!(events.await.ok()["accepted"], 1);
        }
    }

    /// Signs in the owner.
    pub async fn owner(&self) -> String {
        self.server.sign_in(self.server.owner_id()).await
    }

    /// Returns a sign-in link of the person with this address. An earlier link of the person does not work any more.
    pub async fn link(&self, email: &str) -> String {
        let token = link(&self.server, email).await;
        format!("{}/sign-in/link#{token}", self.base)
    }

    /// Invites a person, and returns the link of the invitation.
    pub async fn invitation(&self, email: &str) -> String {
        let invite = json!({"email": email, "role": "reader"});
        self.admin()
            .post("/organization/invites", invite)
            .await
            .ok();
        let token = self.server.token(email).await;
        format!("{}/invites/accept#{token}", self.base)
    }

    /// Lets a person join with this role, and signs them in.
    pub async fn person(&self, email: &str, role: &str) -> String {
        let user = self.server.join(email, role).await;
        self.server.sign_in(&user).await
    }

    /// Lets a person join as a member of the project, without a role in the organization, and signs them in.
    pub async fn member(&self, email: &str) -> String {
        let user = self.server.join(email, "reader").await;
        let path = format!("/organization/projects/{}/users", self.project);
        let membership = json!({"user_id": user, "role": "member"});
        self.admin().post(&path, membership).await.ok();
        self.server.sign_in(&user).await
    }

    /// Signs the owner of another organization in.
    pub async fn stranger(&self) -> String {
        self.server.sign_in_stranger().await
    }

    /// Signs a reader of another organization in.
    pub async fn strange_reader(&self) -> String {
        let email = "olga@other.example";
        self.server.sign_in_strange_reader(email).await
    }

    /// Returns the id of a project of another organization.
    pub fn foreign_project_id(&self) -> String {
        self.server.stranger_project_id().to_string()
    }

    /// Runs a scenario as the person with this token; `more` is added to its input.
    pub async fn run(&self, name: &'static str, token: &str, more: Value) -> Vec<Value> {
        let mut input = json!({"base": self.base, "token": token, "project_id": self.project});
        if let (Some(input), Value::Object(more)) = (input.as_object_mut(), more) {
            input.extend(more);
        }
        let run = tokio::task::spawn_blocking(move || scenario::run(name, &input));
        match run.await {
            Ok(report) => report,
            Err(failed) => std::panic::resume_unwind(failed.into_panic()),
        }
    }
}
