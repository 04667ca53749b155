//! Pages of a report as the operation answers them: read once, without a tree of values.

use std::borrow::Cow;
use std::fmt;

use base::{NanoDollars, UnixTime};
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};

use super::kind::Group;

/// A page of a report.
#[derive(Deserialize)]
pub(crate) struct ReportPage<'a> {
    #[serde(borrow)]
    pub(crate) data: Vec<ReportBucket<'a>>,
    pub(crate) next_page: Option<String>,
}

/// A bucket of a page.
#[derive(Deserialize)]
pub(crate) struct ReportBucket<'a> {
    pub(crate) start_time: i64,
    #[serde(borrow)]
    pub(crate) results: Vec<ReportRow<'a>>,
}

impl ReportBucket<'_> {
    /// Returns the first second.
    pub(crate) fn start(&self) -> UnixTime {
        UnixTime(self.start_time)
    }
}

/// The sums of a group in a bucket.
pub(crate) struct ReportRow<'a> {
    /// Values of the dimensions that are not null.
    pub(crate) groups: Vec<(Group, Cow<'a, str>)>,
    /// Numbers by name. A cost has its amount in nano-dollars.
    pub(crate) numbers: Vec<(Cow<'a, str>, i64)>,
}

impl<'de: 'a, 'a> Deserialize<'de> for ReportRow<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(RowVisitor)
    }
}

struct RowVisitor;

impl<'de> Visitor<'de> for RowVisitor {
    type Value = ReportRow<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a result of a report")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut row = ReportRow {
            groups: Vec::new(),
            numbers: Vec::new(),
        };
        while let Some(key) = map.next_key::<&str>()? {
            if let Some(group) = Group::parse(key) {
                if let GroupValue(Some(value)) = map.next_value()? {
                    row.groups.push((group, value));
                }
            } else if key == "amount" {
                let amount: Amount = map.next_value()?;
                row.numbers.push((Cow::Borrowed(key), amount.nanos().0));
            } else if matches!(key, "object" | "quantity" | "quantity_unit") {
                map.next_value::<IgnoredAny>()?;
            } else {
                row.numbers.push((Cow::Borrowed(key), map.next_value()?));
            }
        }
        Ok(row)
    }
}

#[derive(Deserialize)]
struct Amount {
    value: f64,
}

impl Amount {
    /// Returns the amount as the ledger has it: a number of JSON is the closest to a number of nano-dollars.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the ledger's amounts are nano-dollars in 64 bits"
    )]
    fn nanos(&self) -> NanoDollars {
        NanoDollars((self.value * 1e9).round() as i64)
    }
}

/// The value of a dimension: text, or `true` and `false` of batches.
struct GroupValue<'a>(Option<Cow<'a, str>>);

impl<'de: 'a, 'a> Deserialize<'de> for GroupValue<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(GroupVisitor)
    }
}

struct GroupVisitor;

impl<'de> Visitor<'de> for GroupVisitor {
    type Value = GroupValue<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the value of a dimension")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(GroupValue(None))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
        let word = if value { "true" } else { "false" };
        Ok(GroupValue(Some(Cow::Borrowed(word))))
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Self::Value, E> {
        Ok(GroupValue(Some(Cow::Borrowed(value))))
    }

    fn visit_str<E>(self, value: &str) -> Result<Self::Value, E> {
        Ok(GroupValue(Some(Cow::Owned(value.to_owned()))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_have_their_groups_and_numbers() {
        let text = r#"{"object":"page","data":[{"object":"bucket","start_time":5,"end_time":65,"results":[
            {"object":"x","num_model_requests":3,"input_tokens":7,"project_id":null,"model":"say \"a\"","batch":true}]}],
            "has_more":false,"next_page":null}"#;
        let page: ReportPage<'_> = serde_json::from_str(text).expect("a page");
        let row = &page.data[0].results[0];
        let groups: Vec<_> = row
            .groups
            .iter()
            .map(|(group, value)| (*group, &**value))
            .collect();
        assert_eq!(
            groups,
            [(Group::Model, "say \"a\""), (Group::Batch, "true")]
        );
        assert_eq!(row.numbers.len(), 2);
        assert_eq!((page.data[0].start(), page.next_page), (UnixTime(5), None));
    }

    #[test]
    fn amounts_are_those_of_the_ledger() {
        for nanos in [
            0,
            1,
            18_750,
            999_999_999,
            1_234_567_890_123,
            8_000_000_000_000_001,
        ] {
            let amount = NanoDollars(nanos).dollars();
            let text =
                format!(r#"{{"amount":{{"value":{amount:?},"currency":"usd"}},"quantity":null}}"#);
            let row: ReportRow<'_> = serde_json::from_str(&text).expect("a result");
            assert_eq!(row.numbers[0].1, nanos);
        }
    }
}
