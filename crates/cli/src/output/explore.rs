//! `--format explore`: a viewer to move around in. It takes the whole terminal and gives it back whatever happens.

mod draw;
mod tree;
mod viewer;

use std::io::{Write, stdout};
use std::panic;
use std::sync::Once;

use anyhow::Result;
use ratatui_core::terminal::Terminal;
use ratatui_crossterm::CrosstermBackend;
use ratatui_crossterm::crossterm::cursor::Show;
use ratatui_crossterm::crossterm::event::{self, Event, KeyEventKind};
use ratatui_crossterm::crossterm::execute;
use ratatui_crossterm::crossterm::terminal::{
    Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};

use viewer::{Next, Viewer};

/// Shows items until the user has seen enough. They are fetched as far as the user looks.
pub fn run(
    out: &mut dyn Write,
    items: &mut dyn Iterator<Item = Result<String>>,
    is_coloured: bool,
) -> Result<()> {
    let mut viewer = Viewer::new(items)?;
    let mut screen = Screen::open(out)?;
    loop {
        screen.terminal.draw(|frame| {
            let area = frame.area();
            draw::draw(&mut viewer, frame.buffer_mut(), area, is_coloured);
        })?;
        if let Event::Key(key) = event::read()?
            && key.kind != KeyEventKind::Release
            && viewer.press(key) == Next::Quit
        {
            break;
        }
    }
    drop(screen);
    viewer.end()
}

/// The terminal while the viewer has it.
struct Screen<'a> {
    terminal: Terminal<CrosstermBackend<&'a mut dyn Write>>,
}

impl<'a> Screen<'a> {
    fn open(out: &'a mut dyn Write) -> Result<Self> {
        restore_before_a_panic_is_told();
        let terminal = Terminal::new(CrosstermBackend::new(out))?;
        let mut screen = Screen { terminal };
        enable_raw_mode()?;
        // Not the terminal's own `clear`: it asks where the cursor is and fails when nothing answers.
        let backend = screen.terminal.backend_mut();
        execute!(backend, EnterAlternateScreen, Clear(ClearType::All))?;
        Ok(screen)
    }
}

impl Drop for Screen<'_> {
    fn drop(&mut self) {
        // A terminal that cannot be written to any more needs nothing given back.
        let _ = disable_raw_mode();
        let _ = execute!(self.terminal.backend_mut(), LeaveAlternateScreen, Show);
    }
}

/// The message of a panic is written before anything is dropped, and would go with the viewer's screen.
fn restore_before_a_panic_is_told() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let tell = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            let _ = disable_raw_mode();
            let _ = execute!(stdout(), LeaveAlternateScreen, Show);
            tell(panic);
        }));
    });
}

#[cfg(test)]
mod tests;
