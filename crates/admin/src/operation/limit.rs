//! The `limit` parameter of lists.

use std::borrow::Cow;
use std::num::IntErrorKind;

use base::inline_schema;
use schemars::json_schema;
use serde::Deserialize;
use serde::de::Deserializer;

/// The largest number of items of a page: `DEFAULT` if absent, at least `MIN`; values above `MAX` count as `MAX`.
#[derive(Clone, Copy, Debug)]
pub struct Limit<const DEFAULT: i64, const MIN: i64, const MAX: i64>(pub i64);

impl<const DEFAULT: i64, const MIN: i64, const MAX: i64> Default for Limit<DEFAULT, MIN, MAX> {
    fn default() -> Self {
        Self(DEFAULT)
    }
}

impl<'de, const DEFAULT: i64, const MIN: i64, const MAX: i64> Deserialize<'de>
    for Limit<DEFAULT, MIN, MAX>
{
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        let limit = match text.parse::<i64>() {
            Ok(limit) => limit.min(MAX),
            // A number too large to parse is above the range like any other.
            Err(error) if *error.kind() == IntErrorKind::PosOverflow => MAX,
            Err(_) => return Err(serde::de::Error::custom("must be a whole number")),
        };
        if limit < MIN {
            return Err(serde::de::Error::custom(format_args!(
                "must be at least {MIN}"
            )));
        }
        Ok(Self(limit))
    }
}

inline_schema!(Limit<DEFAULT, MIN, MAX>, "Limit", |_| json_schema!({
    "type": "integer", "minimum": MIN, "default": DEFAULT,
}); for const DEFAULT: i64, const MIN: i64, const MAX: i64);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operation::parse::query;

    #[test]
    fn limit_above_its_range_is_the_maximum() {
        #[derive(Debug, Deserialize)]
        struct LimitQuery {
            #[serde(default)]
            limit: Limit<20, 1, 100>,
        }
        let limit = |text: &str| query::<LimitQuery>(Some(text)).map(|page| page.limit.0);
        for (text, expected) in [
            ("", 20),
            ("limit=1", 1),
            ("limit=100", 100),
            ("limit=101", 100),
            ("limit=9223372036854775807", 100),
            ("limit=9223372036854775808", 100),
            ("limit=125542911080809889792000", 100),
        ] {
            assert_eq!(limit(text).expect(text), expected, "{text}");
        }
        for text in [
            "limit=0",
            "limit=-1",
            "limit=-9223372036854775809",
            "limit=1.5",
            "limit=x",
            "limit=%20",
        ] {
            let error = limit(text).expect_err(text);
            assert_eq!(error.param.as_deref(), Some("limit"), "{text}");
        }
    }
}
