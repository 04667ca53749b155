//! Pictures of screens.

use serde_json::json;

use super::site::Site;

/// Takes pictures of the screens of costs, or with `ORGPLANE_TEST_SCREENSHOTS` of all screens into that folder.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn screens_are_photographed_in_both_themes_and_widths() {
    let kept = std::env::var("ORGPLANE_TEST_SCREENSHOTS").ok();
    let folder = tempfile::tempdir().expect("a folder");
    let out = kept
        .clone()
        .unwrap_or_else(|| folder.path().display().to_string());
    let only = if kept.is_some() { "" } else { "/console/costs" };
    let site = Site::start().await;
    let owner = site.owner().await;
    site.run("screenshots", &owner, json!({"out": out, "only": only}))
        .await;
    let index = std::path::Path::new(&out).join("index.html");
    let index = std::fs::read_to_string(index).expect("an index");
    for picture in ["console-costs-390-dark.png", "console-costs-1440-light.png"] {
        assert!(index.contains(picture), "{index}");
        let picture = std::path::Path::new(&out).join(picture);
        let bytes = std::fs::read(picture).expect("a picture");
        assert!(bytes.starts_with(b"\x89PNG"));
    }
}
