//! The official clients call every operation of the Administration API: each by its route, and those that belong together
//! as administrators call them, against the built binary.

use std::fs::File;
use std::process::Command;

use serde_json::{Value, json};
use testkit::examples::{Examples, Fill, Ids, in_order};

use crate::authority::Authority;
use crate::client_script::{drive, node, python};
use crate::installation::Installation;
use crate::mail_server::{MailServer, free_port, join, settings};
use crate::model_server::PRICES;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_official_python_client_calls_every_operation() {
    call_by_route(&mut python(&["-m", "every_operation.by_route"])).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_official_node_client_calls_every_operation() {
    call_by_route(&mut node("by_route.mjs")).await;
}

/// Lets the script send a request to every operation of the contract, with every parameter.
async fn call_by_route(script: &mut Command) {
    let server = testkit::Server::start().await;
    let address = server.listen().await;
    let file = server.database.directory.path().join("requests.json");
    let requests = json!(requests(&server).await);
    std::fs::write(&file, requests.to_string()).expect("a file in our directory");
    let finished = script
        .stdin(File::open(&file).expect("the file was written"))
        .env("OPENAI_BASE_URL", format!("http://{address}/v1"))
        .env(
            "OPENAI_ADMIN_KEY",
            server.admin().key.expect("an owner has a key"),
        )
        .env("NO_PROXY", "*")
        .output()
        .expect("the script's interpreter runs");
    let [said, failed] =
        [&finished.stdout, &finished.stderr].map(|text| String::from_utf8_lossy(text));
    let is_success = finished.status.success() && said.trim_end().ends_with("everything holds");
    assert!(is_success, "{said}\n{failed}");
}

/// Returns a request for every parameter of every operation of the contract, from the registry.
async fn requests(server: &testkit::Server) -> Vec<Value> {
    let (ids, examples) = (Ids::make(server).await, Examples::new(server));
    let mut requests = Vec::new();
    for operation in in_order().iter().filter(|operation| !operation.extension) {
        let names = operation.path_parameters();
        let path: Vec<&str> = names.map(|name| ids.id(operation, name)).collect();
        for query in examples.queries(operation, &ids).await {
            requests.push(json!({
                "method": operation.method.as_str(),
                "template": operation.path,
                "ids": path,
                "query": query,
                "body": examples.body(operation, &ids, Fill::Everything).await,
            }));
        }
    }
    requests
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_official_python_client_administers_an_organization() {
    call(&mut python(&["-m", "every_operation"])).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_official_node_client_administers_an_organization() {
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
