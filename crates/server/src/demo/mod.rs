//! `orgplane demo`: runs on a temporary database with a fake model server and a day of generated traffic, created
//! through the public API.

mod model_server;
mod traffic;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use admin::organization::{self, Bootstrap};
use admin::sessions::SessionLifetimes;
use anyhow::{Context, bail};
use axum::body::{Body, to_bytes};
use base::ids::IdGenerator;
use base::secret::{KeyKind, Pepper, Secret};
use base::{Clock, Entropy};
use gateway::{Durability, UnpricedModels, UpstreamConfig};
use http::{Method, Request, header};
use identity::SignInOptions;
use serde_json::{Value, json};
use store::Store;
use tower::ServiceExt;
use usage::{ModelFacts, PriceBook, RetentionPeriods};

use crate::commands::output::announce;
use crate::commands::serve::run_until;
use crate::config::Bounds;
use crate::descriptors;
use crate::public_url::default_public_url;
use crate::reload::{Reload, ReloadSignals};
use crate::serve::Server;
use crate::shutdown::{DEFAULT_STOP_TIMEOUT, Shutdown};
use crate::{App, AppOptions, Cors, HttpService};

/// Models of the fake model server.
const MODELS: [&str; 3] = ["gpt-5", "gpt-5-mini", "gpt-4o-mini"];

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
    let (app, key) = found(directory.path(), server.address(), model_server).await?;
    let key = key.reveal();
    let project_key = populate(&app.http_service(), &key, &app.services().clock).await?;
    app.services().recorder.flush().await;
    let stop = Shutdown::at_signals(DEFAULT_STOP_TIMEOUT)?;
    let _following = signals.follow(Reload::default(), stop.clone(), || {
        tracing::info!("SIGHUP ignored: a demo has no files to reload");
    });
    let url = default_public_url("http", server.address());
    announce(&welcome(&url, &key, &project_key));
    Ok(run_until(server, app, stop).await)
}

async fn found(
    directory: &std::path::Path,
    address: SocketAddr,
    model_server: SocketAddr,
) -> anyhow::Result<(App, Secret)> {
    let url = format!("sqlite://{}", directory.join("demo.db").display());
    let store = Store::open(&url).await?;
    let (clock, entropy) = (Clock::system(), Entropy::operating_system());
    let ids = Arc::new(IdGenerator::new(clock.clone(), entropy.clone()));
    let pepper = Pepper::generate(&entropy);
    let bootstrap = Bootstrap {
        store: &store,
        pepper: &pepper,
        ids: &ids,
        clock: &clock,
        name: "Acme",
        owner_email: "ada@acme.example",
        key: Secret::generate(KeyKind::Admin, &entropy),
    };
    let founded = organization::create(bootstrap).await?;
    let upstream = UpstreamConfig {
        models: MODELS.map(str::to_owned).to_vec(),
        aliases: std::iter::once(("gpt-5-2025-08-07".to_owned(), "gpt-5".to_owned())).collect(),
        ..UpstreamConfig::new("demo", format!("http://{model_server}/v1"))
    };
    let app = App::start(AppOptions {
        store,
        pepper,
        clock,
        entropy,
        ids,
        upstreams: vec![upstream],
        prices: PriceBook::built_in(),
        unpriced: UnpricedModels::default(),
        facts: ModelFacts::with(Vec::new()),
        durability: Durability::Batched,
        public_url: default_public_url("http", address),
        session_lifetimes: SessionLifetimes::default(),
        sign_in: SignInOptions::default(),
        smtp: None,
        keep_bodies_days: 0,
        keep_usage: RetentionPeriods::default(),
        tracing: None,
        bounds: Bounds::default(),
        has_metrics_apart: false,
        cors: Cors::default(),
        has_console: true,
    })
    .await?;
    Ok((app, founded.key))
}

/// Creates projects, service accounts and a day of usage; returns the key of one service account.
async fn populate(service: &HttpService, admin_key: &str, clock: &Clock) -> anyhow::Result<String> {
    let mut keys = Vec::new();
    let mut applications = Vec::new();
    for (project, accounts) in [
        ("Search", &["ranker", "summarizer"][..]),
        ("Support desk", &["assistant"]),
    ] {
        let created = call(
            service,
            admin_key,
            "/organization/projects",
            json!({"name": project}),
        )
        .await?;
        let project_id = text(&created, "/id")?;
        for account in accounts {
            let path = format!("/organization/projects/{project_id}/service_accounts");
            let created = call(service, admin_key, &path, json!({"name": account})).await?;
            applications.push(traffic::Application {
                project_id: project_id.clone(),
                api_key_id: text(&created, "/api_key/id")?,
            });
            keys.push(text(&created, "/api_key/value")?);
        }
    }
    let events = traffic::day(&applications, &MODELS, clock.now());
    for events in events.chunks(5_000) {
        call(
            service,
            admin_key,
            "/organization/usage/events",
            json!(events),
        )
        .await?;
    }
    for (key, question) in
        keys.iter()
            .zip(["What is a ledger?", "Why count twice?", "Who may do this?"])
    {
        let body = json!({"model": MODELS[0], "messages": [{"role": "user", "content": question}]});
        call(service, key, "/chat/completions", body).await?;
    }
    keys.into_iter().next().context("the demo has a key")
}

/// Calls the API like any client.
async fn call(service: &HttpService, key: &str, path: &str, body: Value) -> anyhow::Result<Value> {
    let request = Request::builder()
        .method(Method::POST)
        .uri(format!("/v1{path}"))
        .header(header::AUTHORIZATION, format!("Bearer {key}"))
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from(body.to_string()))?;
    let response = service.clone().oneshot(request).await?;
    let status = response.status();
    let bytes = to_bytes(response.into_body(), 1024 * 1024).await?;
    if !status.is_success() {
        bail!(
            "{path} answered {status}: {}",
            String::from_utf8_lossy(&bytes)
        );
    }
    Ok(serde_json::from_slice(&bytes)?)
}

fn text(value: &Value, pointer: &str) -> anyhow::Result<String> {
    let text = value.pointer(pointer).and_then(Value::as_str);
    Ok(text
        .with_context(|| format!("the answer has no {pointer}"))?
        .to_owned())
}

fn welcome(url: &str, admin_key: &str, project_key: &str) -> String {
    format!(
        r#"
orgplane demo: a temporary organization on {url}
A built-in server answers in place of models. Everything else is real, and deleted when the demo stops.

  Admin key    {admin_key}
  Project key  {project_key}

Try, in another terminal:

1. Call a model through the gateway:
   curl -s {url}/v1/chat/completions -H 'Authorization: Bearer {project_key}' \
     -d '{{"model": "gpt-5-mini", "messages": [{{"role": "user", "content": "Hello!"}}]}}'

2. Read the usage of the last day by model, which includes your request a moment later:
   curl -s "{url}/v1/organization/usage/completions?start_time=$(($(date +%s) - 86400))&group_by=model" \
     -H 'Authorization: Bearer {admin_key}'

3. Read the audit log:
   curl -s "{url}/v1/organization/audit_logs?limit=5" -H 'Authorization: Bearer {admin_key}'

Stop the demo with Ctrl-C.
"#
    )
}
