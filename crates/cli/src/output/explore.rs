//! `--format explore`: an interactive viewer. It takes the whole terminal and restores it on every exit.

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

use viewer::{KeyOutcome, Viewer};

/// Shows items until the user quits. They are fetched as far as the user scrolls.
pub fn run(
    out: &mut dyn Write,
    items: &mut dyn Iterator<Item = Result<String>>,
    is_coloured: bool,
) -> Result<()> {
    let mut viewer = Viewer::new(items)?;
    let mut screen = AlternateScreen::open(out)?;
    loop {
        screen.terminal.draw(|frame| {
            let area = frame.area();
            draw::draw(&mut viewer, frame.buffer_mut(), area, is_coloured);
        })?;
        if let Event::Key(key) = event::read()?
            && key.kind != KeyEventKind::Release
            && viewer.press(key) == KeyOutcome::Quit
        {
            break;
        }
    }
    drop(screen);
    viewer.end()
}

/// The terminal in raw mode, on its alternate screen; restored on drop.
struct AlternateScreen<'a> {
    terminal: Terminal<CrosstermBackend<&'a mut dyn Write>>,
}

impl<'a> AlternateScreen<'a> {
    fn open(out: &'a mut dyn Write) -> Result<Self> {
        restore_terminal_on_panic();
        let terminal = Terminal::new(CrosstermBackend::new(out))?;
        let mut screen = AlternateScreen { terminal };
        enable_raw_mode()?;
        // `Terminal::clear` asks for the cursor's position, and fails if the terminal does not answer.
        let backend = screen.terminal.backend_mut();
        execute!(backend, EnterAlternateScreen, Clear(ClearType::All))?;
        Ok(screen)
    }
}

impl Drop for AlternateScreen<'_> {
    fn drop(&mut self) {
        // If the terminal is gone, there is nothing to restore.
        let _ = disable_raw_mode();
        let _ = execute!(self.terminal.backend_mut(), LeaveAlternateScreen, Show);
    }
}

/// Restores the terminal before a panic's message is written: on the alternate screen the message would be lost.
fn restore_terminal_on_panic() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let previous_hook = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            let _ = disable_raw_mode();
            let _ = execute!(stdout(), LeaveAlternateScreen, Show);
            previous_hook(panic);
        }));
    });
}

#[cfg(test)]
mod tests;
