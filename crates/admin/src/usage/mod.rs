//! `/organization/usage/…` and `/organization/costs`: what was consumed, in buckets of time.

pub mod costs;
pub mod events;
mod report;
mod reports;
mod window;

use ::usage::{Bucket, Buckets};
use base::UnixTime;
use schemars::JsonSchema;
use serde::Serialize;

use crate::literal::literals;
use crate::operation::Operation;
use window::next_page;

pub(crate) fn operations() -> Vec<Operation> {
    let mut operations = reports::operations();
    operations.push(costs::operation());
    operations
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

/// A span of time and what was consumed in it.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "{T}Bucket")]
struct BucketOf<T> {
    object: BucketObject,
    start_time: UnixTime,
    end_time: UnixTime,
    results: Vec<T>,
}

impl<T> BucketPage<T> {
    fn new<R>(found: Buckets<R>, mut show: impl FnMut(R) -> T) -> Self {
        let mut bucket = |bucket: Bucket<R>| BucketOf {
            object: BucketObject,
            start_time: bucket.start,
            end_time: bucket.end,
            results: bucket.results.into_iter().map(&mut show).collect(),
        };
        Self {
            object: PageObject,
            data: found.buckets.into_iter().map(&mut bucket).collect(),
            has_more: found.next.is_some(),
            next_page: found.next.map(next_page),
        }
    }
}

/// The dimensions to group by, each once.
fn distinct<D: PartialEq>(groups: Vec<impl Into<D>>) -> Vec<D> {
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
