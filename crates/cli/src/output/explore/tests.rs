//! Tests of the viewer: keys, and the screen after them.

use anyhow::anyhow;
use ratatui_core::backend::TestBackend;
use ratatui_core::terminal::Terminal;
use ratatui_crossterm::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::*;
use crate::output::characters::columns;
use crate::output::tests::assert_snapshot;

const SCREEN_COLUMN_COUNT: u16 = 60;
const SCREEN_ROW_COUNT: u16 = 8;

/// A viewer on a small screen.
struct TestScreen<'a> {
    viewer: Viewer<'a>,
    terminal: Terminal<TestBackend>,
}

impl<'a> TestScreen<'a> {
    fn of(items: &'a mut dyn Iterator<Item = Result<String>>) -> Self {
        let terminal =
            Terminal::new(TestBackend::new(SCREEN_COLUMN_COUNT, SCREEN_ROW_COUNT)).unwrap();
        let viewer = Viewer::new(items).unwrap();
        TestScreen { viewer, terminal }
    }

    /// Presses keys, drawing before each, as on a terminal.
    fn press(&mut self, keys: &[KeyCode]) -> &mut Self {
        for key in keys {
            self.picture();
            let key = KeyEvent::new(*key, KeyModifiers::NONE);
            assert_eq!(self.viewer.press(key), KeyOutcome::Stay);
        }
        self
    }

    fn write(&mut self, text: &str) -> &mut Self {
        let keys: Vec<_> = text.chars().map(KeyCode::Char).collect();
        self.press(&keys)
    }

    /// Returns the text of the screen, with `>` before the row of the cursor.
    fn picture(&mut self) -> String {
        let viewer = &mut self.viewer;
        let drawn = self.terminal.draw(|frame| {
            let area = frame.area();
            draw::draw(viewer, frame.buffer_mut(), area, true);
        });
        // The drawn buffer, not that of the backend: unlike a terminal, the backend keeps the second half of a wide
        // character that was overwritten.
        let buffer = drawn.unwrap().buffer;
        let mut picture = String::new();
        for y in 0..SCREEN_ROW_COUNT {
            let reversed = ratatui_core::style::Modifier::REVERSED;
            let is_here = buffer[(0, y)].modifier.contains(reversed);
            let mut line = String::from(if is_here { "> " } else { "  " });
            let mut x = 0;
            while x < SCREEN_COLUMN_COUNT {
                let symbol = buffer[(x, y)].symbol();
                line.push_str(symbol);
                x += u16::try_from(columns(symbol)).unwrap().max(1);
            }
            picture.push_str(line.trim_end());
            picture.push('\n');
        }
        picture
    }

    fn cursor_line(&mut self) -> String {
        let picture = self.picture();
        let line = picture.lines().find_map(|line| line.strip_prefix("> "));
        line.unwrap_or_default().to_owned()
    }
}

fn user(number: usize) -> String {
    format!(
        r#"{{"object":"organization.user","id":"user_{number:04}","name":"漢字 {number}\u001b[2J","added_at":1768478400,"disabled":false,"roles":["a",{{"deep":"secret {number}"}}],"none":[]}}"#
    )
}

/// Returns `count` users, and counts those that are fetched.
fn users(count: usize, fetched: &mut usize) -> impl Iterator<Item = Result<String>> {
    (1..=count).map(|number| {
        *fetched = number;
        Ok(user(number))
    })
}

#[test]
fn the_viewer_looks_like_its_snapshot() {
    use KeyCode::{Down, End, Enter, Left, Right};
    let mut fetched = 0;
    let mut source = users(30, &mut fetched);
    let mut stage = TestScreen::of(&mut source);
    let mut pictures = vec![("start", stage.picture())];
    pictures.push(("second opened", stage.press(&[Down, Enter]).picture()));
    let roles = [Down; 6];
    pictures.push(("its roles", stage.press(&roles).press(&[Right]).picture()));
    pictures.push((
        "left to what it is in",
        stage.press(&[Left, Left]).picture(),
    ));
    pictures.push(("end", stage.press(&[End]).picture()));
    pictures.push(("typing", stage.write("/SECRET 17").picture()));
    pictures.push(("found inside", stage.press(&[Enter]).picture()));
    pictures.push((
        "not there",
        stage.write("/nobody").press(&[Enter]).picture(),
    ));
    let shown = pictures
        .into_iter()
        .map(|(name, picture)| format!("{name}\n{picture}"));
    assert_snapshot("viewer.txt", &shown.collect::<Vec<_>>().join("\n"));
}

#[test]
fn items_are_fetched_as_far_as_the_user_scrolls() {
    let mut fetched = 0;
    let mut source = users(100_000, &mut fetched);
    let mut stage = TestScreen::of(&mut source);
    stage.picture();
    assert_eq!(stage.viewer.position(), (1, usize::from(SCREEN_ROW_COUNT)));
    stage.press(&[KeyCode::PageDown]);
    assert_eq!(stage.viewer.position(), (7, 14));
    // One key fetches a limited number of items.
    stage.press(&[KeyCode::End]);
    assert_eq!(
        stage.cursor_line(),
        "▸ user_0514  漢字 514\\u001b[2J  organization.user"
    );
    stage.press(&[KeyCode::Home]);
    assert_eq!(stage.viewer.position(), (1, 521));
    drop(source);
    assert_eq!(fetched, 521);
}

#[test]
fn every_movement_key_moves_the_cursor() {
    use KeyCode::{Char, Down, End, Home, PageDown, PageUp, Up};
    let mut fetched = 0;
    let mut source = users(40, &mut fetched);
    let mut stage = TestScreen::of(&mut source);
    for (keys, item) in [
        (&[Down, Down, Up][..], 2),
        (&[Char('j'), Char('j'), Char('k')], 3),
        (&[PageDown], 9),
        (&[Char(' ')], 15),
        (&[PageUp, PageUp], 3),
        (&[Up, Up, Up, Up], 1),
        (&[End, Down], 40),
        (&[Home], 1),
        (&[Char('G')], 40),
        (&[Char('g')], 1),
    ] {
        stage.press(keys);
        assert_eq!(stage.viewer.position().0, item, "{keys:?}");
        assert!(
            stage
                .cursor_line()
                .starts_with(&format!("▸ user_{item:04}")),
            "{keys:?}"
        );
    }
}

#[test]
fn search_wraps_around_in_both_directions() {
    let mut fetched = 0;
    let mut source = users(900, &mut fetched);
    let mut stage = TestScreen::of(&mut source);
    stage
        .write("/x")
        .press(&[KeyCode::Backspace])
        .write("SECRET 30")
        .press(&[KeyCode::Enter]);
    // The search wraps from the last fetched item to the first, and back.
    for (key, number) in [
        ("", 30),
        ("n", 300),
        ("n", 301),
        ("N", 300),
        ("N", 30),
        ("N", 309),
        ("n", 30),
    ] {
        stage.write(key);
        assert_eq!(stage.cursor_line().trim(), format!("deep: secret {number}"));
    }
    stage.write("/never").press(&[KeyCode::Esc]).write("n");
    assert!(stage.picture().contains("'never' is not here"));
}

#[test]
fn one_answer_is_open_from_the_start() {
    let mut source = std::iter::once(Ok(user(1)));
    let mut stage = TestScreen::of(&mut source);
    let picture = stage.picture();
    assert!(picture.starts_with("> ▾ user_0001"), "{picture}");
    assert!(picture.contains("added_at: 2026-01-15 12:00"), "{picture}");
}

#[test]
fn quit_keys_end_the_viewer() {
    let mut fetched = 0;
    let mut source = users(3, &mut fetched);
    let mut viewer = Viewer::new(&mut source).unwrap();
    for code in [KeyCode::Char('q'), KeyCode::Esc] {
        assert_eq!(
            viewer.press(KeyEvent::new(code, KeyModifiers::NONE)),
            KeyOutcome::Quit
        );
    }
    let interrupt = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
    viewer.press(KeyEvent::new(KeyCode::Char('/'), KeyModifiers::NONE));
    assert_eq!(viewer.press(interrupt), KeyOutcome::Quit);
    viewer.end().unwrap();
}

#[test]
fn error_is_shown_and_returned() {
    let mut nothing = std::iter::once(Err(anyhow!("401 Unauthorized")));
    let failed = Viewer::new(&mut nothing).err().unwrap();
    assert_eq!(failed.to_string(), "401 Unauthorized");

    let mut some = [
        Ok(user(1)),
        Ok(user(2)),
        Err(anyhow!("the line\u{1b} broke")),
    ]
    .into_iter();
    let mut stage = TestScreen::of(&mut some);
    stage.picture();
    assert!(stage.picture().contains(r"the line\u001b broke"));
    stage.press(&[KeyCode::Down]);
    assert!(stage.cursor_line().starts_with("▸ user_0002"));
    stage.viewer.end().unwrap_err();
}

#[test]
fn empty_list_and_tiny_screen_do_not_panic() {
    let mut nothing = std::iter::empty();
    let mut stage = TestScreen::of(&mut nothing);
    use KeyCode::{Char, Down, End, Enter, Left, PageUp, Right};
    stage.press(&[Down, End, Enter, Left, Right, PageUp, Char('n')]);
    assert!(stage.picture().contains("0 of 0"));

    let mut fetched = 0;
    let mut source = users(3, &mut fetched);
    let mut viewer = Viewer::new(&mut source).unwrap();
    for (width, height) in [(0, 0), (1, 1), (3, 2), (200, 1)] {
        let area = ratatui_core::layout::Rect::new(0, 0, width, height);
        let mut buffer = ratatui_core::buffer::Buffer::empty(area);
        draw::draw(&mut viewer, &mut buffer, area, true);
    }
}

#[test]
fn no_key_breaks_the_viewer() {
    let keys = "jjlljlhhknN/a\ngG ljlj".chars();
    let keys: Vec<_> = keys
        .map(|c| {
            if c == '\n' {
                KeyCode::Enter
            } else {
                KeyCode::Char(c)
            }
        })
        .collect();
    for seed in 0..200_usize {
        let mut fetched = 0;
        let mut source = users(seed % 7, &mut fetched);
        let mut viewer = Viewer::new(&mut source).unwrap();
        for step in 0..60 {
            let code = keys[(seed * 31 + step * (seed % 11 + 1) + step * step) % keys.len()];
            viewer.resize(seed % 5);
            viewer.press(KeyEvent::new(code, KeyModifiers::NONE));
            let (item, known) = viewer.position();
            assert!(item <= known);
        }
    }
}
