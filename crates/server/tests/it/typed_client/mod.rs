//! `async-openai`, a typed Rust client, takes the whole path: whatever it reads must fit its types.

mod administration;
mod models;
mod reports;

use std::collections::BTreeMap;

use async_openai::Client;
use async_openai::config::OpenAIConfig;
use async_openai::error::OpenAIError;

use crate::api::http;
use crate::installation::Installation;
use crate::model_server::{ModelServer, PRICES};
use crate::reports::Sums;

const PROMPTS: [&str; 2] = ["Say hello.", "Count to ten."];

/// An administrator, and what they have done.
struct Run {
    base: String,
    admin: Client<OpenAIConfig>,
    /// The event and the resource of every change, in order.
    changes: Vec<(String, String)>,
    /// Usage reported by the model server, by model and API key.
    reported: BTreeMap<(String, String), Sums>,
}

/// A key that calls models.
struct Key {
    id: String,
    value: String,
}

#[tokio::test]
async fn a_typed_client_takes_the_whole_path() {
    let model_server = ModelServer::start();
    let installation = Installation::new(&model_server.settings());
    let (server, admin) = installation.first_serve();
    let mut run = Run {
        admin: client(&admin.base, &admin.key),
        base: admin.base,
        changes: Vec::new(),
        reported: BTreeMap::new(),
    };
    assert_eq!(run.audit_log().await, []);

    let project = run.project().await;
    let (account, keys) = run.service_account(&project).await;
    run.project_keys(&project, &keys).await;
    run.admin_key().await;
    for key in &keys {
        for price in &PRICES {
            for prompt in PROMPTS {
                run.call(key, price.model, prompt).await;
            }
        }
    }
    run.check_usage(&project).await;
    run.check_costs(&project).await;
    run.close(&project, &account, &keys[0]).await;
    run.check_usage(&project).await;

    assert_eq!(run.audit_log().await, run.changes);
    server.stop();
}

fn client(base: &str, key: &str) -> Client<OpenAIConfig> {
    let config = OpenAIConfig::new().with_api_base(base).with_api_key(key);
    Client::build(http(), config)
}

fn assert_refused<T: std::fmt::Debug>(answer: Result<T, OpenAIError>, status: u16) {
    match answer {
        Err(OpenAIError::ApiError(error)) => {
            assert_eq!(error.status_code.as_u16(), status, "{error}");
        }
        other => panic!("wanted a refusal with {status}, got {other:?}"),
    }
}
