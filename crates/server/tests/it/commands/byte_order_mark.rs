//! Files that begin with a byte order mark, and whose lines end as on Windows.

use std::fs;

use super::imports::{event, import, serving, sums, write};
use crate::reports;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ndjson_bom_files_of_an_operator_may_begin_with_a_byte_order_mark() {
    let (installation, server, admin, project) = serving().await;
    let event = |id: &str, number| event(&project, id, number).to_string();
    let lines = format!("\u{feff}{}\r\n{}\r\n", event("a", 0), event("b", 1));
    write(&installation, "marked.ndjson", &lines);
    let ended = import(&installation, &["marked.ndjson"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(reports::usage(&admin).await, sums(2));
    server.stop();

    let directory = installation.directory();
    for name in ["orgplane.toml", "orgplane.secret"] {
        let text = fs::read_to_string(directory.join(name)).expect("text");
        let text = format!("\u{feff}{}", text.replace('\n', "\r\n"));
        write(&installation, name, &text);
    }
    let server = installation.serve();
    assert_eq!(reports::usage(&server.api(&admin.key)).await, sums(2));
    server.stop();
    write(
        &installation,
        "prices.toml",
        "\u{feff}[[price]]\r\nmodel = 'm'\r\neffective = '2026-01-01'\r\ninput = '1'\r\n",
    );
    write(&installation, "model.key", "\u{feff}sk-model\r\n");
    installation.configure(
        "prices = \"prices.toml\"\n[[upstream]]\nname = \"u\"\nbase_url = \"http://127.0.0.1:1/v1\"\n\
         models = [\"m\"]\napi_key_file = \"model.key\"\n",
    );
    installation.serve().stop();
    let utf_16: Vec<u8> = "listen = 1"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    fs::write(
        directory.join("orgplane.toml"),
        [b"\xff\xfe", &utf_16[..]].concat(),
    )
    .expect("written");
    let ended = installation.run(&["serve"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("saved as UTF-8"), "{ended:?}");
}
