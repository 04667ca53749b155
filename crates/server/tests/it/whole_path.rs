//! The official Python client takes the whole path, against the built binary and a model server of others.

use crate::client_script::{drive, python};
use crate::installation::Installation;
use crate::model_server::ModelServer;

#[test]
fn the_official_python_client_takes_the_whole_path() {
    let model_server = ModelServer::start();
    let installation = Installation::new(&model_server.settings());
    let (server, admin) = installation.first_serve();
    drive(server, &admin, &mut python(&["whole_path.py"]));
}
