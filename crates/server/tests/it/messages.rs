//! The official Python client of Anthropic's format, against the built binary and a model server of others.

use crate::client_script::{drive, python};
use crate::installation::Installation;
use crate::model_server::{ModelServer, PRICES};

/// The price of `claude-test`, as an operator writes it.
const PRICE: &str = "[[price]]\nmodel = \"claude-test\"\neffective = \"2026-01-01\"\ninput = \"3\"\noutput = \"15\"\n";

#[test]
fn the_official_python_client_of_messages_gets_answers_streams_and_refusals() {
    let model_server = ModelServer::start();
    let settings = [
        model_server.upstream("/v1", &[PRICES[0].model]),
        PRICES[0].setting(),
        model_server.upstream("/v1", &["claude-test"]),
        "format = \"anthropic\"\n".to_owned(),
        PRICE.to_owned(),
    ];
    let installation = Installation::new(&settings.concat());
    let (server, admin) = installation.first_serve();
    drive(server, &admin, &mut python(&["messages.py"]));
}
