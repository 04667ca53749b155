//! The official Python client calls every endpoint of models that the model server of others has.

use crate::client_script::{drive, python};
use crate::installation::Installation;
use crate::model_server::{ModelServer, PRICES};

/// All but the first have their prices in the built-in book.
const MODELS: [&str; 6] = [
    PRICES[0].model,
    "text-embedding-3-small",
    "dall-e-3",
    "gpt-image-1",
    "tts-1",
    "whisper-1",
];

#[test]
fn the_official_python_client_calls_every_endpoint_of_models() {
    let model_server = ModelServer::start();
    let settings = model_server.upstream("/v1", &MODELS) + &PRICES[0].setting();
    let installation = Installation::new(&settings);
    let (server, admin) = installation.first_serve();
    drive(server, &admin, &mut python(&["endpoints.py"]));
}
