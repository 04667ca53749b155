//! The official Python client keeps files and makes batches, for two projects that share a model server.

use crate::client_script::{drive, python};
use crate::installation::Installation;
use crate::model_server::{ModelServer, PRICES};

#[test]
fn the_official_python_client_keeps_files_and_makes_batches() {
    let model_server = ModelServer::start();
    let upstream = model_server.upstream("/v1", &[PRICES[0].model, "other"]);
    let installation = Installation::new(&(upstream + "stores = true\n"));
    let (server, admin) = installation.first_serve();
    drive(server, &admin, &mut python(&["stored.py"]));
}
