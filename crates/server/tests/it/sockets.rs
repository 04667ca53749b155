//! The official Python client over WebSocket, against the built binary and a model server of others.

use crate::client_script::{drive, python};
use crate::installation::Installation;
use crate::model_server::{ModelServer, PRICES};

#[test]
fn the_official_python_client_gets_responses_over_websocket() {
    let model_server = ModelServer::start();
    let [price, _] = &PRICES;
    let upstream = model_server.upstream("/v1", &[price.model]);
    let settings = format!("{upstream}websocket = true\n{}", price.setting());
    let installation = Installation::new(&settings);
    let (server, admin) = installation.first_serve();
    drive(server, &admin, &mut python(&["sockets.py"]));
}
