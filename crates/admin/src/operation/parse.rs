//! Parsing of query strings and bodies, with errors that name the parameter or field and the accepted values.

use std::borrow::Cow;
use std::fmt;

use base::{Error, Result, inline_schema, without_mark};
use schemars::JsonSchema;
use serde::de::{DeserializeOwned, Deserializer};
use serde::{Deserialize, Serialize};
use store::Order;

use super::{nul, separated};

/// No parameters, or a body without fields.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NoParameters {}

/// The direction of a list.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum OrderBy {
    /// Oldest first.
    Asc,
    /// Newest first.
    Desc,
}

impl From<OrderBy> for Order {
    fn from(order: OrderBy) -> Self {
        match order {
            OrderBy::Asc => Self::Ascending,
            OrderBy::Desc => Self::Descending,
        }
    }
}

/// A field of an update: left as it is when absent, cleared by `null`, else set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Patch<T> {
    /// The field was absent.
    #[default]
    Keep,
    /// The field was `null`.
    Clear,
    /// The field's new value.
    Set(T),
}

impl<T> Patch<T> {
    /// Converts the new value.
    pub fn map<U>(self, make: impl FnOnce(T) -> U) -> Patch<U> {
        match self {
            Self::Keep => Patch::Keep,
            Self::Clear => Patch::Clear,
            Self::Set(value) => Patch::Set(make(value)),
        }
    }

    /// Returns the value after the update of `old`.
    pub fn apply(self, old: Option<T>) -> Option<T> {
        match self {
            Self::Keep => old,
            Self::Clear => None,
            Self::Set(new) => Some(new),
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Patch<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Option::deserialize(deserializer)?.map_or(Self::Clear, Self::Set))
    }
}

inline_schema!(
    Patch<T>, Option::<T>::schema_name(), |generator| Option::<T>::json_schema(generator); for T: JsonSchema
);

/// Parses a query string in every encoding that clients send: `a=1&a=2`, `a[]=1`, `a%5B%5D=1`, `a[0]=1`, `a[gt]=1`. An
/// empty value counts as absent.
///
/// # Errors
/// 400 naming the parameter.
pub(crate) fn query<Q: DeserializeOwned>(text: Option<&str>) -> Result<Q> {
    let pairs = text
        .unwrap_or_default()
        .split('&')
        .filter_map(|pair| pair.split_once('='));
    if let Some((key, _)) = pairs.clone().find(|(_, value)| nul::is_in(value)) {
        let key = brackets(key);
        let name = key.split('[').next().unwrap_or_default();
        return Err(nul::refusal("parameter", name));
    }
    let mut given = String::new();
    for (key, value) in pairs.filter(|(_, value)| !value.is_empty()) {
        let and = if given.is_empty() { "" } else { "&" };
        given.extend([and, &brackets(key), "=", value]);
    }
    let config = serde_qs::Config::new().use_form_encoding(true);
    let deserializer =
        serde_qs::Deserializer::with_config(config, given.as_bytes()).map_err(|error| {
            Error::invalid("query", format!("The query string is malformed: {error}."))
        })?;
    serde_path_to_error::deserialize(deserializer).map_err(|error| {
        let (path, message) = (error.path().to_string(), error.inner().to_string());
        match separated::split_index(&message) {
            Some((index, message)) => refuse("parameter", &format!("{path}{index}"), message),
            None => refuse("parameter", &path, &message),
        }
    })
}

/// Decodes the brackets of a key.
fn brackets(key: &str) -> Cow<'_, str> {
    if !key.contains('%') {
        return Cow::Borrowed(key);
    }
    let plain = key
        .replace("%5B", "[")
        .replace("%5b", "[")
        .replace("%5D", "]")
        .replace("%5d", "]");
    Cow::Owned(plain)
}

/// Parses a JSON body. An empty body counts as `{}`, and so does `null`, which typed clients send for a body without
/// fields.
///
/// # Errors
/// 400 naming the field, or the position of the syntax error.
pub(crate) fn body<B: DeserializeOwned>(bytes: &[u8]) -> Result<B> {
    let bytes = without_mark(bytes);
    let bytes = match bytes.trim_ascii() {
        b"" | b"null" => b"{}",
        _ => bytes,
    };
    if bytes.trim_ascii_start().first() == Some(&b'[') {
        return Err(Error::refused(
            "invalid_type",
            "The body must be a JSON object, not an array.",
        ));
    }
    nul::refuse_in_body(bytes)?;
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let (path, error) = (error.path().to_string(), error.into_inner());
        if error.is_data() {
            refuse("field", &path, &without_position(&error))
        } else {
            malformed(&error)
        }
    })?;
    deserializer.end().map_err(|error| malformed(&error))?;
    Ok(value)
}

fn malformed(error: &impl fmt::Display) -> Error {
    Error::refused(
        "invalid_json",
        format!("The body is not valid JSON: {error}."),
    )
}

/// Returns a message of serde_json without its position, since the path is more useful.
fn without_position(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.rsplit_once(" at line ")
        .map_or(text.clone(), |(message, _)| message.to_owned())
}

/// Converts a message of serde about `path` into an error for the sender.
#[must_use]
pub fn refuse(noun: &str, path: &str, message: &str) -> Error {
    let message = message.lines().next().unwrap_or_default();
    let quoted = |prefix: &str| Some(message.strip_prefix(prefix)?.split_once('`')?.0);
    let inside = |name: &str| match path.rsplit_once('.') {
        _ if path == "." || path == name => name.to_owned(),
        Some((outer, last)) if last == name || last == "?" => format!("{outer}.{name}"),
        _ => format!("{path}.{name}"),
    };
    if let Some(name) = quoted("missing field `") {
        let error = Error::refused(
            "missing_required_parameter",
            format!("Missing required {noun}: '{}'.", inside(name)),
        );
        return error.about(inside(name));
    }
    if let Some(name) = quoted("unknown field `") {
        let accepted = message
            .split_once(", ")
            .map_or("there are none", |(_, accepted)| accepted);
        let message = format!("Unknown {noun}: '{}'; {accepted}.", inside(name));
        return Error::refused("unknown_parameter", message).about(inside(name));
    }
    if let Some(name) = quoted("duplicate field `") {
        return Error::invalid(
            inside(name),
            format!("The {noun} '{}' is given twice.", inside(name)),
        );
    }
    if path == "." {
        return Error::refused(
            "invalid_type",
            format!("The body must be a JSON object: {message}."),
        );
    }
    Error::invalid(path, format!("Invalid {noun} '{path}': {message}."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Query {
        #[serde(default)]
        ids: Vec<String>,
        limit: Option<i64>,
        effective_at: Option<Range>,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Range {
        gt: Option<i64>,
    }

    fn ids(text: &str) -> Vec<String> {
        query::<Query>(Some(text)).expect(text).ids
    }

    #[test]
    fn every_encoding_of_an_array_is_parsed() {
        for text in [
            "ids=a&ids=b",
            "ids[]=a&ids[]=b",
            "ids%5B%5D=a&ids%5B%5D=b",
            "ids[0]=a&ids[1]=b",
            "ids=a&ids=b&limit=",
        ] {
            assert_eq!(ids(text), ["a", "b"], "{text}");
        }
        for text in ["ids=a", "ids[]=a", "ids%5B%5D=a", "ids%5b%5d=a"] {
            assert_eq!(ids(text), ["a"], "{text}");
        }
        assert_eq!(ids("ids[]=gpt-5%2C+input+tokens"), ["gpt-5, input tokens"]);
        assert_eq!(ids(""), Vec::<String>::new());
    }

    #[test]
    fn nested_values_are_parsed() {
        for text in ["effective_at[gt]=5", "effective_at%5Bgt%5D=5"] {
            let query: Query = query(Some(text)).expect(text);
            assert_eq!(query.effective_at, Some(Range { gt: Some(5) }), "{text}");
        }
    }

    #[test]
    fn nul_character_is_refused() {
        for (text, param) in [("ids=a&ids[]=b%00", "ids"), ("ids%5B0%5D=%00", "ids")] {
            let error = query::<Query>(Some(text)).expect_err(text);
            assert_eq!(error.param.as_deref(), Some(param), "{text}");
        }
        assert_eq!(ids("ids=%2500"), ["%00"]);
        let text = r#"{"value":"\u0000"}"#;
        let error = body::<serde_json::Value>(text.as_bytes()).expect_err(text);
        assert_eq!(error.param.as_deref(), Some("value"));
    }

    #[test]
    fn invalid_query_names_its_parameter() {
        let cases = [
            ("limit=x", "limit"),
            ("nope=1", "nope"),
            ("effective_at[gt]=x", "effective_at.gt"),
            ("effective_at[nope]=1", "effective_at.nope"),
        ];
        for (text, param) in cases {
            let error = query::<Query>(Some(text)).expect_err(text);
            assert_eq!(
                error.param.as_deref(),
                Some(param),
                "{text}: {}",
                error.message
            );
        }
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Body {
        #[expect(dead_code, reason = "only its shape matters")]
        name: base::name::Name,
        #[serde(default)]
        #[expect(dead_code, reason = "only its shape matters")]
        ranges: Vec<Range>,
    }

    #[test]
    fn invalid_body_names_its_field() {
        let cases = [
            ("{}", Some("name")),
            ("", Some("name")),
            (" null\n", Some("name")),
            (r#"{"name":1}"#, Some("name")),
            (r#"{"name":"  "}"#, Some("name")),
            (r#"{"name":"a","nope":1}"#, Some("nope")),
            (r#"{"name":"a","name":"b"}"#, Some("name")),
            (
                r#"{"name":"a","ranges":[{"gt":1},{"gt":"x"}]}"#,
                Some("ranges[1].gt"),
            ),
            (
                r#"{"name":"a","ranges":[{"nope":1}]}"#,
                Some("ranges[0].nope"),
            ),
            (r#"{"name":"a"}x"#, None),
            (r#"{"name""#, None),
            ("[]", None),
            ("1", None),
        ];
        for (text, param) in cases {
            let error = body::<Body>(text.as_bytes()).expect_err(text);
            assert_eq!(error.param.as_deref(), param, "{text}: {}", error.message);
        }
    }

    #[test]
    fn patch_distinguishes_absent_from_null() {
        #[derive(Deserialize)]
        struct Update {
            #[serde(default)]
            value: Patch<String>,
        }
        let patch = |text: &str| body::<Update>(text.as_bytes()).expect(text).value;
        assert_eq!(patch("{}"), Patch::Keep);
        assert_eq!(patch(r#"{"value":null}"#), Patch::Clear);
        assert_eq!(patch(r#"{"value":"a"}"#), Patch::Set("a".to_owned()));
    }
}
