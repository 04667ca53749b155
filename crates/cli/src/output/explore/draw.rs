//! The drawing of the viewer: a window of rows, and a status line with the position and the keys.

use ratatui_core::buffer::Buffer;
use ratatui_core::layout::Rect;
use ratatui_core::style::{Color, Modifier, Style};

use super::tree::Node;
use super::viewer::Viewer;
use crate::output::colour::Role;

/// The keys, as the status line names them.
const KEYS: &str = "↑↓ move  Enter open/close  / search  n next  q quit";

/// Draws the viewer onto `area`.
pub fn draw(viewer: &mut Viewer, buffer: &mut Buffer, area: Rect, is_coloured: bool) {
    if area.height == 0 || area.width == 0 {
        return;
    }
    let rows = area.height - 1;
    viewer.resize(usize::from(rows));
    let cursor = viewer.cursor;
    for (y, (row, node)) in (area.y..area.y + rows).zip(viewer.window()) {
        let line = Rect::new(area.x, y, area.width, 1);
        draw_node(node, buffer, line, is_coloured);
        if row == cursor {
            buffer.set_style(line, Style::new().add_modifier(Modifier::REVERSED));
        }
    }
    let last = Rect::new(area.x, area.bottom() - 1, area.width, 1);
    let bold = Style::new().add_modifier(Modifier::BOLD);
    buffer.set_stringn(
        last.x,
        last.y,
        status(viewer),
        usize::from(last.width),
        bold,
    );
}

fn status(viewer: &Viewer) -> String {
    if viewer.is_typing {
        return format!("/{}", viewer.searched);
    }
    if !viewer.remark.is_empty() {
        return viewer.remark.clone();
    }
    let (item, known) = viewer.position();
    let more = if viewer.is_complete { "" } else { "+" };
    format!("{item} of {known}{more}  {KEYS}")
}

fn draw_node(node: &Node, buffer: &mut Buffer, line: Rect, is_coloured: bool) {
    let mark = match (node.has_inside, node.is_open) {
        (false, _) => "  ",
        (true, false) => "▸ ",
        (true, true) => "▾ ",
    };
    let label = match node.label.as_str() {
        "" => String::new(),
        label => format!("{label}: "),
    };
    let indent = " ".repeat((node.depth * 2).min(usize::from(line.width) / 2));
    let mut x = line.x;
    for (role, text) in [
        (Role::Plain, indent.as_str()),
        (Role::Plain, mark),
        (Role::Key, &label),
        (node.role, &node.text),
    ] {
        let room = usize::from(line.right() - x);
        let style = if is_coloured {
            style(role)
        } else {
            Style::new()
        };
        (x, _) = buffer.set_stringn(x, line.y, text, room, style);
    }
}

fn style(role: Role) -> Style {
    match role {
        Role::Key => Style::new().fg(Color::LightBlue),
        Role::Text => Style::new().fg(Color::Green),
        Role::Number => Style::new().fg(Color::Yellow),
        Role::Bool => Style::new().fg(Color::Cyan),
        Role::Faint => Style::new().add_modifier(Modifier::DIM),
        Role::Heading => Style::new().add_modifier(Modifier::BOLD),
        Role::Plain => Style::new(),
    }
}
