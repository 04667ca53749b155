//! Commands that try a key out.

use std::collections::BTreeSet;

use serde_json::json;

use crate::context::Context;

/// Stands for the secret in a command that is shown without one.
const SECRET: &str = "$API_KEY";

/// Returns the command that sends a first request to a model, with the secret of a key if there is one.
pub(crate) fn first_request(context: &Context<'_>, secret: Option<&str>) -> String {
    let url = public_url(context);
    let model = json!(model(context));
    let body = format!(
        "{{\"model\": {model}, \"messages\": [{{\"role\": \"user\", \"content\": \"Hello!\"}}]}}"
    );
    let secret = secret.unwrap_or(SECRET);
    format!(
        "curl {url}/v1/chat/completions \\\n  -H \"Authorization: Bearer {secret}\" \\\n  \
         -H 'Content-Type: application/json' \\\n  -d '{body}'"
    )
}

/// Returns the command that reads something of the Administration API with an admin key.
pub(crate) fn first_read(context: &Context<'_>, secret: &str) -> String {
    let url = public_url(context);
    format!("curl {url}/v1/organization/projects \\\n  -H \"Authorization: Bearer {secret}\"")
}

fn public_url<'a>(context: &'a Context<'_>) -> &'a str {
    context.console.options.public_url.trim_end_matches('/')
}

/// Returns a model that an upstream serves: one that answers with text, if its price says so.
fn model(context: &Context<'_>) -> String {
    let gateway = &context.console.gateway;
    let upstreams = gateway.upstreams();
    let served = upstreams.iter().flat_map(|upstream| &upstream.models);
    let served: BTreeSet<&String> = served.collect();
    let answers = |model: &&&String| {
        let prices = gateway.prices(model, context.now());
        prices.is_some_and(|prices| prices.get("input").is_some() && prices.get("output").is_some())
    };
    let chosen = served.iter().find(answers).or_else(|| served.first());
    chosen.map_or_else(|| "MODEL".to_owned(), |model| (*model).clone())
}
