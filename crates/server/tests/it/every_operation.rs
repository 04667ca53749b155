//! The official clients call every operation of the Administration API, against the built binary.

use std::process::Command;

use serde_json::json;

use crate::authority::Authority;
use crate::client_script::{drive, node, python};
use crate::installation::Installation;
use crate::mail_server::{MailServer, free_port, join, settings};
use crate::model_server::PRICES;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_official_python_client_calls_every_operation() {
    call(&mut python(&["-m", "every_operation"])).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_official_node_client_calls_every_operation() {
    call(&mut node("every_operation.mjs")).await;
}

/// Lets the script loose on an organization of seven people: only who reads mails can make some.
async fn call(script: &mut Command) {
    let port = free_port();
    let mail_server = MailServer::start(port);
    let prices: String = PRICES.iter().map(|price| price.setting()).collect();
    let installation = Installation::new(&format!("{}{prices}", settings(port)));
    let (server, admin) = installation.first_serve();
    let names = ["Alan", "Barbara", "Frances", "Grace", "Hedy", "Linus"];
    join(&admin, &mail_server, &names).await;
    let certificates = ["North", "East", "South", "West"].map(|name| Authority::new(name).pem());
    script.env(
        "ORGPLANE_TEST_CERTIFICATES",
        json!(certificates).to_string(),
    );
    drive(server, &admin, script);
}
