//! Settings made with the official Python client take effect on traffic sent by it.

use std::net::TcpListener;

use crate::client_script::{drive, python};
use crate::installation::Installation;
use crate::model_server::{ModelServer, PRICES};

#[test]
fn what_is_set_happens_to_the_traffic() {
    let model_server = ModelServer::start();
    let nobody = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let unreachable = nobody.local_addr().expect("an address");
    drop(nobody);
    let settings = model_server.upstream("/v1", &[PRICES[0].model, "dall-e-3", "whisper-1"])
        + &PRICES[0].setting()
        + &format!(
            "[[upstream]]\nname = \"nobody\"\nbase_url = \"http://{unreachable}/v1\"\nmodels = [\"unreachable\"]\n"
        );
    let installation = Installation::new(&settings);
    let (server, admin) = installation.first_serve();
    drive(server, &admin, &mut python(&["promises.py"]));
}
