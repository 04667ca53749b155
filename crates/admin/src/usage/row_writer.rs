//! Writing of a report's rows, as JSON and as cells of a table.

use std::sync::Arc;

use ::usage::Numbers;
use files::column::Column;
use files::write::Value;

/// Values of a group, in the order of the query's dimensions.
pub(super) type DimensionValues = [Option<Arc<str>>];

/// Writes the results of one kind of report.
pub(super) trait RowWriter: Send + Sync + 'static {
    /// Returns the beginning of an exported file's name.
    fn name(&self) -> &'static str;

    /// Writes the beginning of a result's JSON object, with its numbers.
    fn begin(&self, numbers: Numbers<'_>, json: &mut Vec<u8>);

    /// Writes the rest of a result's JSON object, which is equal for all results of a group.
    fn end(&self, group: &DimensionValues, json: &mut Vec<u8>);

    /// Returns the columns of a table, without the bucket's times, which come first.
    fn columns(&self) -> Vec<Column>;

    /// Returns the cells of [`Self::columns`].
    fn row<'a>(
        &'a self,
        group: &'a DimensionValues,
        numbers: Numbers<'a>,
    ) -> impl Iterator<Item = Value<'a>> + Send;
}
