//! `orgplane demo`: runs on a temporary database with a fake model server, and a year of an organization's life that went
//! through the public API.

mod call;
mod dice;
mod history;
mod model_server;
mod plan;
mod timeline;
mod traffic;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use admin::credentials::links::{LinkOrigin, NewLink, link_url};
use admin::organization::{self, Bootstrap, NewOrganization};
use admin::sessions::SessionLifetimes;
use anyhow::Context;
use base::ids::IdGenerator;
use base::secret::{KeyKind, Pepper, Secret};
use base::{Clock, Entropy};
use gateway::{Durability, UnpricedModels, UpstreamConfig};
use http::Method;
use identity::SignInOptions;
use serde_json::json;
use store::Store;
use usage::{ModelFacts, PriceBook, RetentionPeriods};
use zeroize::Zeroizing;

use crate::commands::output::announce;
use crate::commands::serve::run_until;
use crate::config::{Bounds, NodeOptions};
use crate::descriptors;
use crate::public_url::default_public_url;
use crate::reload::{Reload, ReloadSignals};
use crate::serve::Server;
use crate::shutdown::{DEFAULT_STOP_TIMEOUT, Shutdown};
use crate::{App, AppOptions, Cors, HttpService};
use history::{History, founding};
use plan::FOUNDER;

/// Filter of the log: the year that goes by has mails which are never sent.
pub(crate) const LOG_FILTER: &str = "info,store=warn,admin::mail=off";
/// Models of the fake model server.
const MODELS: [&str; 3] = ["gpt-5.4-mini", "gpt-5.6-terra", EMBEDDING];
const EMBEDDING: &str = "text-embedding-3-small";
/// Time within which the application that made the history writes everything.
const HISTORY_STOP_TIMEOUT: Duration = Duration::from_secs(30);

/// Arguments of `orgplane demo`.
#[derive(clap::Args)]
pub struct DemoArguments {
    /// Address to listen on; a free port is used if this one is taken.
    #[arg(
        long,
        value_name = "ADDR",
        env = "ORGPLANE_LISTEN",
        default_value = "127.0.0.1:8080"
    )]
    listen: SocketAddr,
}

/// Runs the demo until it is interrupted.
///
/// # Errors
/// No address can be listened on, or the temporary database cannot be written.
pub async fn run(arguments: DemoArguments) -> anyhow::Result<ExitCode> {
    let signals = ReloadSignals::listen()?;
    descriptors::raise_limit();
    let server = match Server::bind(arguments.listen).await {
        Ok(server) => server,
        Err(_) => Server::bind(SocketAddr::new(arguments.listen.ip(), 0)).await?,
    };
    let directory = tempfile::tempdir().context("failed to create the temporary directory")?;
    let model_server = model_server::start().await?;
    let deployment = DemoDeployment {
        url: format!("sqlite://{}", directory.path().join("demo.db").display()),
        public_url: default_public_url("http", server.address()),
        model_server,
        pepper: Pepper::generate(&Entropy::operating_system()),
    };
    let keys = deployment.populate().await?;
    let app = deployment.start(Clock::system()).await?;
    keys.call_models(&app.http_service()).await?;
    app.services().recorder.flush().await;
    let stop = Shutdown::at_signals(DEFAULT_STOP_TIMEOUT)?;
    let _following = signals.follow(Reload::default(), stop.clone(), || {
        tracing::info!("SIGHUP ignored: a demo has no files to reload");
    });
    let link = sign_in_link(&app).await?;
    announce(&welcome(&deployment.public_url, &link, &keys));
    Ok(run_until(server, app, stop).await)
}

/// A temporary installation.
struct DemoDeployment {
    /// URL of the database.
    url: String,
    public_url: String,
    model_server: SocketAddr,
    pepper: Pepper,
}

/// Keys that the demo shows or calls models with.
struct Keys {
    admin: String,
    search: String,
    /// Key of a project that has spent its limit.
    sandbox: String,
    /// Key of a project that may use some models only.
    marketing: String,
    /// Key of a project that may create one embedding a minute.
    translations: String,
}

impl DemoDeployment {
    /// Founds the organization and makes its year, with a clock of its own.
    async fn populate(&self) -> anyhow::Result<Keys> {
        let now = Clock::system().now();
        let clock = Clock::fake(founding(now));
        let founded = self.found(&clock).await?;
        let admin = founded.key.reveal().to_owned();
        let app = self.start(clock).await?;
        let history = History::make(&app, founded.organization_id, &admin, now).await?;
        let secret = |name: &str| history.kept(&format!("secret {name}")).map(str::to_owned);
        let keys = Keys {
            search: secret("Search/ranker")?,
            sandbox: secret("Sandbox/playground")?,
            marketing: secret("Marketing site/copy editor")?,
            translations: secret("Translations/documents")?,
            admin,
        };
        app.stop(HISTORY_STOP_TIMEOUT).await;
        Ok(keys)
    }

    async fn found(&self, clock: &Clock) -> anyhow::Result<NewOrganization> {
        let store = Store::open(&self.url).await?;
        let entropy = Entropy::operating_system();
        let bootstrap = Bootstrap {
            store: &store,
            pepper: &self.pepper,
            ids: &IdGenerator::new(clock.clone(), entropy.clone()),
            clock,
            name: "Acme",
            owner_email: &timeline::email(FOUNDER),
            key: Secret::generate(KeyKind::Admin, &entropy),
        };
        Ok(organization::create(bootstrap).await?)
    }

    async fn start(&self, clock: Clock) -> anyhow::Result<App> {
        let entropy = Entropy::operating_system();
        let upstream = UpstreamConfig {
            models: MODELS.map(str::to_owned).to_vec(),
            ..UpstreamConfig::new("demo", format!("http://{}/v1", self.model_server))
        };
        App::start(AppOptions {
            store: Store::open(&self.url).await?,
            pepper: self.pepper.clone(),
            ids: Arc::new(IdGenerator::new(clock.clone(), entropy.clone())),
            clock,
            entropy,
            upstreams: vec![upstream],
            prices: PriceBook::built_in(),
            unpriced: UnpricedModels::default(),
            facts: ModelFacts::with(Vec::new()),
            durability: Durability::Batched,
            admission: Durability::Batched,
            public_url: self.public_url.clone(),
            session_lifetimes: SessionLifetimes::default(),
            sign_in: SignInOptions::default(),
            smtp: None,
            keep_bodies_days: 0,
            keep_usage: RetentionPeriods::default(),
            tracing: None,
            bounds: Bounds::default(),
            node: NodeOptions::default(),
            has_metrics_apart: false,
            cors: Cors::default(),
            has_console: true,
        })
        .await
    }
}

impl Keys {
    /// Calls models: some requests are answered, others are refused for each reason that there is.
    async fn call_models(&self, service: &HttpService) -> anyhow::Result<()> {
        for (key, model) in [
            (&self.search, "gpt-5.4-mini"),
            (&self.search, "gpt-5.6-terra"),
            // Not one of the project's models.
            (&self.marketing, "gpt-5.6-terra"),
            // The spend limit is reached.
            (&self.sandbox, "gpt-5.6-terra"),
            (&self.sandbox, "gpt-5.4-mini"),
            // The second exceeds a rate limit.
            (&self.translations, EMBEDDING),
            (&self.translations, EMBEDDING),
        ] {
            let question = "What is a ledger?";
            let (path, body) = if model == EMBEDDING {
                ("/embeddings", json!({"model": model, "input": question}))
            } else {
                let messages = json!([{"role": "user", "content": question}]);
                (
                    "/chat/completions",
                    json!({"model": model, "messages": messages}),
                )
            };
            let body = Some(body.to_string());
            let (status, answer) =
                call::answer(service, Some(key), Method::POST, path, body).await?;
            tracing::debug!(%status, %answer, "demo request");
        }
        Ok(())
    }
}

/// Makes a link that signs in the founder, once.
async fn sign_in_link(app: &App) -> anyhow::Result<Zeroizing<String>> {
    let services = app.services();
    let link = NewLink {
        store: &services.store,
        pepper: &services.pepper,
        ids: &services.ids,
        clock: &services.clock,
        entropy: &services.entropy,
        origin: LinkOrigin::FirstStart,
    };
    let made = link.for_address(&timeline::email(FOUNDER), None).await?;
    Ok(link_url(&services.public_url, &made.token))
}

fn welcome(url: &str, link: &str, keys: &Keys) -> String {
    let (admin_key, project_key) = (&keys.admin, &keys.search);
    format!(
        r#"
orgplane demo: a temporary organization on {url}

  Sign in      {link}
               as the owner, once, within 15 minutes

A built-in server answers in place of models. Everything else is real: a year with 13 projects, 40 people and their usage.
All of it is deleted when the demo stops.

  Admin key    {admin_key}
  Project key  {project_key}

Try, in another terminal:

1. Call a model through the gateway:
   curl -s {url}/v1/chat/completions -H 'Authorization: Bearer {project_key}' \
     -d '{{"model": "gpt-5.4-mini", "messages": [{{"role": "user", "content": "Hello!"}}]}}'

2. Read the usage of the last day by model, which includes your request a moment later:
   curl -s "{url}/v1/organization/usage/completions?start_time=$(($(date +%s) - 86400))&group_by=model" \
     -H 'Authorization: Bearer {admin_key}'

3. Read the audit log:
   curl -s "{url}/v1/organization/audit_logs?limit=5" -H 'Authorization: Bearer {admin_key}'

Stop the demo with Ctrl-C.
"#
    )
}
