//! `/organization/usage/…` and `/organization/costs`: usage and costs in time buckets, rows of the ledger.

mod answer;
pub mod costs;
pub mod events;
mod json;
mod own;
pub mod refusals;
mod report;
mod reports;
mod row_writer;
mod unpriced;
mod window;

use ::usage::UsageKind;
use base::UnixTime;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;

use crate::literal::literals;
use crate::operation::Operation;

pub(crate) fn operations() -> Vec<Operation> {
    let mut operations = reports::operations();
    operations.push(costs::operation());
    operations.extend(reports::own_operations());
    operations.push(own::costs());
    operations.push(refusals::operation());
    operations.extend(unpriced::operations());
    operations
}

/// Returns the schema of a kind of usage.
fn kind_schema(_: &mut SchemaGenerator) -> Schema {
    let kinds = UsageKind::ALL.iter().map(|kind| kind.as_str());
    json_schema!({ "type": "string", "enum": kinds.collect::<Vec<_>>() })
}

literals! {
    PageObject = "page";
    BucketObject = "bucket";
}

/// A page of buckets.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "{T}Page")]
pub struct BucketPage<T> {
    object: PageObject,
    data: Vec<BucketOf<T>>,
    has_more: bool,
    next_page: Option<String>,
}

/// A time bucket with its results.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "{T}Bucket")]
struct BucketOf<T> {
    object: BucketObject,
    start_time: UnixTime,
    end_time: UnixTime,
    results: Vec<T>,
}

/// Returns the dimensions without duplicates.
fn distinct<D: PartialEq>(groups: impl IntoIterator<Item: Into<D>>) -> Vec<D> {
    groups
        .into_iter()
        .map(Into::into)
        .fold(Vec::new(), |mut distinct, group| {
            if !distinct.contains(&group) {
                distinct.push(group);
            }
            distinct
        })
}
