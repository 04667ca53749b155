//! Charts, without the server: the script and the library that the console serves.

use std::path::Path;

use serde_json::json;

use super::scenario;

#[test]
fn a_chart_shows_its_table_with_keys_tooltips_and_gaps_under_the_strict_policy() {
    let assets = Path::new(env!("CARGO_MANIFEST_DIR")).join("../pages/assets");
    let assets = assets.canonicalize().expect("the folder of the assets");
    scenario::run("charts", &json!({"assets": assets}));
}
