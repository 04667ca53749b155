//! The statements that a handler can run. Each names its tenant and its columns, which is checked at compile time.

use base::ids::OrganizationId;
use store::{Statement, Value};

/// SQL text whose rows are those of the organization in `$1`. Made by [`tenant_sql!`](crate::tenant_sql).
#[derive(Clone, Copy)]
pub struct TenantSql(&'static str);

impl TenantSql {
    /// Checks a text.
    ///
    /// # Panics
    /// At compile time, as the value of a constant: the text selects `*`, or does not name its tenant. A statement names
    /// its tenant by the condition `organization_id = $1`, in each part of a `UNION`; an `INSERT` by `organization_id` as
    /// its first column and `$1` as its first value.
    #[must_use]
    pub const fn new(text: &'static str) -> Self {
        assert!(
            store::names_columns(text),
            "a statement must name its columns"
        );
        assert!(
            names_tenant(text.as_bytes()),
            "a statement must name its tenant: organization_id = $1"
        );
        Self(text)
    }

    pub(super) fn text(self) -> &'static str {
        self.0
    }
}

/// Returns true if the rows that a statement reads or writes are those of the organization in `$1`.
const fn names_tenant(text: &[u8]) -> bool {
    if starts_with(text, b"INSERT INTO ") {
        let first_value = count(text, b"VALUES ($1,") + count(text, b"VALUES ($1)");
        return starts_with(from_first_parenthesis(text), b"(organization_id, ")
            && first_value == 1;
    }
    // The organization's own row.
    let own_row = count(text, b"FROM organizations WHERE id = $1");
    let conditions = count(text, b"organization_id = $1") + own_row;
    conditions > count(text, b" UNION ")
}

const fn from_first_parenthesis(text: &[u8]) -> &[u8] {
    let mut at = 0;
    while at < text.len() && text[at] != b'(' {
        at += 1;
    }
    text.split_at(at).1
}

/// Returns the number of places at which `word` stands in `text` and no digit follows.
const fn count(text: &[u8], word: &[u8]) -> usize {
    let (mut at, mut found) = (0, 0);
    while at + word.len() <= text.len() {
        let rest = text.split_at(at).1;
        let is_longer_number = rest.len() > word.len() && rest[word.len()].is_ascii_digit();
        if starts_with(rest, word) && !is_longer_number {
            found += 1;
        }
        at += 1;
    }
    found
}

const fn starts_with(text: &[u8], word: &[u8]) -> bool {
    if text.len() < word.len() {
        return false;
    }
    let mut at = 0;
    while at < word.len() {
        if text[at] != word[at] {
            return false;
        }
        at += 1;
    }
    true
}

/// A statement whose `$1` is the caller's organization: the only kind that a handler can run.
#[derive(Clone)]
pub struct TenantStatement(Statement);

impl TenantStatement {
    pub(super) fn new(organization: &OrganizationId, sql: TenantSql, values: Vec<Value>) -> Self {
        let mut all = Vec::with_capacity(values.len() + 1);
        all.push(Value::from(organization));
        all.extend(values);
        Self(Statement::new(sql.text(), all))
    }

    pub(super) fn into_inner(self) -> Statement {
        self.0
    }

    /// Appends a literal piece of text.
    pub fn push(&mut self, text: &'static str) -> &mut Self {
        self.0.push(text);
        self
    }

    /// Appends the next `$n` and its value.
    pub fn bind(&mut self, value: impl Into<Value>) -> &mut Self {
        self.0.bind(value);
        self
    }

    /// Appends `(…)` with a `$n` for each value.
    pub fn bind_list<V: Into<Value>>(&mut self, values: impl IntoIterator<Item = V>) -> &mut Self {
        self.0.bind_list(values);
        self
    }
}

/// Returns a statement of the context `$cx`: `$text` is a constant, whose `$1` is the caller's organization and whose `$2`,
/// `$3`, … are `$values`. With one argument, returns the [`TenantSql`](crate::operation::TenantSql) of a text.
///
/// A text that does not name its tenant or its columns does not compile:
///
/// ```
/// # use admin::{operation::TenantSql, tenant_sql};
/// let sql: TenantSql = tenant_sql!("SELECT id FROM projects WHERE organization_id = $1");
/// ```
/// ```compile_fail
/// # use admin::{operation::TenantSql, tenant_sql};
/// let sql: TenantSql = tenant_sql!("SELECT id FROM projects WHERE organization_id = $2");
/// ```
/// ```compile_fail
/// # use admin::{operation::TenantSql, tenant_sql};
/// let sql: TenantSql = tenant_sql!("SELECT id, * FROM projects WHERE organization_id = $1");
/// ```
#[macro_export]
macro_rules! tenant_sql {
    ($text:expr) => {
        const { $crate::operation::TenantSql::new($text) }
    };
    ($cx:expr, $text:expr, $values:expr $(,)?) => {
        $cx.sql($crate::tenant_sql!($text), $values)
    };
}

/// Returns the values of a statement's `$2`, `$3`, …; `$1` is the organization.
#[macro_export]
macro_rules! args {
    ($($value:expr),* $(,)?) => { vec![$(store::Value::from($value)),*] };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "must name its tenant")]
    fn statement_without_tenant_is_refused() {
        let _ = TenantSql::new("SELECT id FROM projects");
    }

    #[test]
    #[should_panic(expected = "must name its columns")]
    fn statement_without_columns_is_refused() {
        let _ = TenantSql::new(
            "SELECT ? FROM projects WHERE organization_id = $1"
                .replace('?', "*")
                .leak(),
        );
    }

    #[test]
    fn statement_names_its_tenant_by_condition_or_first_value() {
        for text in [
            "SELECT id FROM projects WHERE organization_id = $1",
            "SELECT p.id FROM projects p WHERE p.organization_id = $1 AND p.id = $2",
            "UPDATE projects SET name = $3 WHERE organization_id = $1 AND id = $2",
            "SELECT name FROM organizations WHERE id = $1",
            "INSERT INTO groups (organization_id, id) VALUES ($1, $2)",
            "SELECT a FROM t WHERE organization_id = $1 UNION SELECT a FROM u WHERE organization_id = $1",
        ] {
            assert!(names_tenant(text.as_bytes()), "{text}");
        }
        for text in [
            "SELECT organization_id FROM projects",
            "SELECT id FROM projects WHERE organization_id = $2 AND id = $1",
            "SELECT id FROM projects WHERE organization_id = $10",
            "SELECT name FROM organizations WHERE id = $12",
            "DELETE FROM projects WHERE id = $1",
            "INSERT INTO groups (organization_id, id) VALUES ($2, $1)",
            "INSERT INTO groups (id, organization_id) VALUES ($1, $2)",
            "INSERT INTO groups (id, a) VALUES ($1, $2) ON CONFLICT (organization_id, id) DO NOTHING",
            "SELECT a FROM t WHERE organization_id = $1 UNION SELECT a FROM u",
        ] {
            assert!(!names_tenant(text.as_bytes()), "{text}");
        }
    }
}
