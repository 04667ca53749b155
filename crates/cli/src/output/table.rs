//! Lists as a table. The first rows decide which columns fit; all others are written as they come.

use std::collections::HashMap;

use super::cell::Cell;
use super::characters::{columns, fit, line, spaces};
use super::colour::{Palette, Role};
use super::value::Value;

/// The number of rows that decide the columns: a page of the API.
const SAMPLE_COUNT: usize = 20;
/// The width that a column exceeds only if the terminal has room left.
const DEFAULT_MAX_COLUMN_WIDTH: usize = 40;
/// The largest number of hidden columns that are remembered.
const MAX_HIDDEN_COUNT: usize = 40;
/// The width of their names in the remark below the table.
const MAX_REMARK_COLUMNS: usize = 40;
/// The spaces between two columns.
const COLUMN_GAP_LEN: usize = 2;

/// The cells of a row, by their keys.
pub type Row = Vec<(String, Cell)>;

/// Returns the row of an object, without its kind, which all rows share.
pub fn row(object: &Value) -> Row {
    let Value::Object(fields) = object else {
        return Row::new();
    };
    let fields = fields.iter().map(|(key, value)| (key.plain(), value));
    fields
        .filter(|(key, _)| key != "object")
        .map(|(key, value)| (line(&key).into_owned(), Cell::of(&key, value)))
        .collect()
}

/// A table that is written while rows are added.
pub struct Table {
    width: usize,
    palette: Palette,
    waiting: Vec<Row>,
    layout: Option<TableLayout>,
}

impl Table {
    pub fn new(width: usize, palette: Palette) -> Self {
        Self {
            width,
            palette,
            waiting: Vec::new(),
            layout: None,
        }
    }

    /// Adds a row, and returns the lines that can be written now.
    pub fn add(&mut self, row: Row) -> String {
        if let Some(layout) = &mut self.layout {
            return layout.line(row, self.palette);
        }
        self.waiting.push(row);
        if self.waiting.len() < SAMPLE_COUNT {
            return String::new();
        }
        self.start()
    }

    /// Returns the lines that are still to be written, and a remark about columns that were left out.
    pub fn end(&mut self) -> String {
        let mut lines = self.start();
        let hidden = self.layout.take().map(|layout| layout.hidden);
        if let Some(hidden) = hidden.filter(|hidden| !hidden.is_empty()) {
            let names = fit(&hidden.join(", "), MAX_REMARK_COLUMNS).into_owned();
            let remark = format!("Not shown: {names}; --format json shows everything.");
            self.palette.push(&mut lines, Role::Faint, &remark);
            lines.push('\n');
        }
        lines
    }

    fn start(&mut self) -> String {
        if self.waiting.is_empty() {
            return String::new();
        }
        let rows = std::mem::take(&mut self.waiting);
        let mut layout = TableLayout::new(&rows, self.width);
        let mut lines = layout.heading(self.palette);
        for row in rows {
            lines.push_str(&layout.line(row, self.palette));
        }
        self.layout = Some(layout);
        lines
    }
}

/// The chosen columns, with their widths.
struct TableLayout {
    columns: Vec<Column>,
    hidden: Vec<String>,
}

#[derive(Clone)]
struct Column {
    key: String,
    width: usize,
    natural: usize,
    /// Columns of numbers are aligned at their last digit.
    is_number: bool,
    is_empty: bool,
}

impl Column {
    /// Returns the sort key: id and name first, columns without values last.
    fn rank(&self) -> usize {
        match self.key.as_str() {
            "id" => 0,
            "name" => 1,
            _ if self.is_empty => 3,
            _ => 2,
        }
    }
}

impl TableLayout {
    fn new(rows: &[Row], width: usize) -> Self {
        let mut all = measured(rows);
        all.sort_by_key(Column::rank);
        let mut room = width;
        let mut chosen: Vec<Column> = Vec::new();
        let mut hidden = Vec::new();
        for mut column in all {
            let gap = if chosen.is_empty() { 0 } else { COLUMN_GAP_LEN };
            column.width = column.natural.min(DEFAULT_MAX_COLUMN_WIDTH);
            if column.rank() == 0 {
                column.width = column.natural.min(width);
            }
            match room.checked_sub(column.width + gap) {
                Some(left) => room = left,
                None if chosen.is_empty() => {
                    column.width = width;
                    room = 0;
                }
                None => {
                    hidden.push(column.key);
                    continue;
                }
            }
            chosen.push(column);
        }
        for column in &mut chosen {
            let more = (column.natural - column.width).min(room);
            column.width += more;
            room -= more;
        }
        Self {
            columns: chosen,
            hidden,
        }
    }

    fn heading(&self, palette: Palette) -> String {
        let cells = self.columns.iter().map(|column| Cell {
            role: Role::Heading,
            text: column.key.clone(),
        });
        self.joined(cells, palette)
    }

    fn line(&mut self, row: Row, palette: Palette) -> String {
        for (key, _) in &row {
            let is_shown = self.columns.iter().any(|column| column.key == *key);
            if !is_shown && self.hidden.len() < MAX_HIDDEN_COUNT && !self.hidden.contains(key) {
                self.hidden.push(key.clone());
            }
        }
        let mut cells: HashMap<String, Cell> = row.into_iter().collect();
        let nothing = || Cell::of("", &Value::Null);
        let cells = self
            .columns
            .iter()
            .map(|column| cells.remove(&column.key).unwrap_or_else(nothing));
        self.joined(cells.collect::<Vec<_>>().into_iter(), palette)
    }

    fn joined(&self, cells: impl Iterator<Item = Cell>, palette: Palette) -> String {
        let mut out = String::new();
        let mut gap = 0;
        for (column, cell) in self.columns.iter().zip(cells) {
            let text = fit(&cell.text, column.width);
            let free = column.width.saturating_sub(columns(&text));
            let (before, after) = if column.is_number {
                (free, 0)
            } else {
                (0, free)
            };
            out.push_str(&spaces(gap + before));
            palette.push(&mut out, cell.role, &text);
            gap = COLUMN_GAP_LEN + after;
        }
        out.push('\n');
        out
    }
}

/// Returns the columns in the order of their first appearance, with their natural widths.
fn measured(rows: &[Row]) -> Vec<Column> {
    let mut all: Vec<Column> = Vec::new();
    let mut places = HashMap::new();
    for (key, cell) in rows.iter().flatten() {
        let place = *places.entry(key).or_insert(all.len());
        if place == all.len() {
            all.push(Column {
                key: key.clone(),
                width: 0,
                natural: columns(key),
                is_number: true,
                is_empty: true,
            });
        }
        let column = &mut all[place];
        column.natural = column.natural.max(columns(&cell.text));
        column.is_number &= cell.role == Role::Number || cell.is_empty();
        column.is_empty &= cell.is_empty();
    }
    for column in &mut all {
        column.is_number &= !column.is_empty;
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Palette = Palette { is_on: false };

    fn shown(items: &[&str], width: usize) -> String {
        let mut table = Table::new(width, PLAIN);
        let mut out = String::new();
        for item in items {
            out += &table.add(row(&Value::parse(item).unwrap()));
        }
        out + &table.end()
    }

    const USERS: [&str; 2] = [
        r#"{"object":"organization.user","email":"ada@example.com","name":"Ada","id":"user_1","n":7,"added_at":1768478400,"gone":null}"#,
        r#"{"object":"organization.user","email":"zoe@example.com","name":"Zoë 漢字","id":"user_22","n":12,"added_at":1768478460,"gone":null}"#,
    ];

    #[test]
    fn id_and_name_come_first_and_numbers_are_aligned() {
        let expected = "\
id       name      email             n  added_at          gone
user_1   Ada       ada@example.com   7  2026-01-15 12:00  –
user_22  Zoë 漢字  zoe@example.com  12  2026-01-15 12:01  –
";
        let shown = shown(&USERS, 80);
        let trimmed: String = shown
            .lines()
            .map(|line| format!("{}\n", line.trim_end()))
            .collect();
        assert_eq!(trimmed, expected);
    }

    #[test]
    fn columns_without_room_are_named_below() {
        let expected = "\
id       name       n  gone
user_1   Ada        7  –
user_22  Zoë 漢字  12  –
Not shown: email, added_at; --format json shows everything.
";
        assert_eq!(shown(&USERS, 30), expected);
    }

    #[test]
    fn no_row_is_wider_than_the_terminal() {
        let long = format!(
            r#"{{"id":"{0}","name":"{0}","x":["{0}"]}}"#,
            "漢".repeat(70)
        );
        for width in [1, 10, 33, 80, 200] {
            let text = shown(&[&long, &long], width);
            let rows: Vec<_> = text
                .lines()
                .filter(|line| !line.starts_with("Not"))
                .collect();
            assert_eq!(rows.len(), 3);
            assert!(
                rows.iter().all(|row| columns(row) <= width),
                "{width}\n{text}"
            );
        }
    }

    #[test]
    fn rows_are_written_once_columns_are_known() {
        let mut table = Table::new(80, PLAIN);
        for _ in 1..SAMPLE_COUNT {
            assert_eq!(table.add(row(&Value::parse(USERS[0]).unwrap())), "");
        }
        let first = table.add(row(&Value::parse(USERS[0]).unwrap()));
        assert_eq!(first.lines().count(), SAMPLE_COUNT + 1);
        let next = table.add(row(&Value::parse(
            r#"{"id":"user_with_a_longer_id","new":1}"#,
        )
        .unwrap()));
        assert!(next.starts_with("user_…  –     –"), "{next}");
        assert!(table.end().starts_with("Not shown: new;"));
    }
}
