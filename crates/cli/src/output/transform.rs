//! `--transform`: a GJSON path into a response.

use std::borrow::Cow;

/// Returns the part that the path leads to; the whole text if it leads nowhere.
pub fn apply<'text>(text: &'text str, path: Option<&str>) -> Cow<'text, str> {
    let Some(path) = path.filter(|path| !path.is_empty()) else {
        return Cow::Borrowed(text);
    };
    let found = gjson::get(text, path);
    if found.exists() {
        Cow::Owned(found.json().to_owned())
    } else {
        Cow::Borrowed(text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PAGE: &str = r#"{"object":"page","data":[{"start_time":1,"results":[{"amount":{"value":0.10,"currency":"usd"}}]},{"start_time":2,"results":[{"amount":{"value":2.50}}]}],"a.b":"c","n":null}"#;

    #[test]
    fn paths_lead_into_the_answer() {
        for (path, expected) in [
            ("object", r#""page""#),
            ("data.#", "2"),
            ("data.0.start_time", "1"),
            ("data.#.results.0.amount.value", "[0.10,2.50]"),
            ("data.#(start_time>1).start_time", "2"),
            (
                "{object,second:data.1.start_time}",
                r#"{"object":"page","second":2}"#,
            ),
            (r"a\.b", r#""c""#),
            ("n", "null"),
            (
                "data.1|@ugly",
                r#"{"start_time":2,"results":[{"amount":{"value":2.50}}]}"#,
            ),
        ] {
            assert_eq!(apply(PAGE, Some(path)), expected, "{path}");
        }
    }

    #[test]
    fn a_path_to_nothing_leaves_the_answer() {
        for path in [
            None,
            Some(""),
            Some("missing"),
            Some("data.7.results"),
            Some("object.x"),
        ] {
            assert_eq!(apply(PAGE, path), PAGE, "{path:?}");
        }
    }

    proptest! {
        #[test]
        fn no_path_fails(path in "[a-z.#|@{}\\[\\]()=<>!%\\\\\",:*?0-9é~ ]{0,24}") {
            apply(PAGE, Some(&path));
        }
    }
}
