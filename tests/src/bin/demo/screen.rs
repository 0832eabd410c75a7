//! The one place that prints.

use std::io::{IsTerminal, Write};

/// Standard output: lines, and on a terminal a live line below them.
#[derive(Debug)]
pub struct Screen;

impl Screen {
    /// A line that stays.
    pub fn line(&self, text: &str) {
        let clear = match self.is_terminal() {
            true => "\r\x1b[K",
            false => "",
        };
        self.write(&format!("{clear}{text}\n"));
    }

    /// A line that the next one takes the place of; where the output is no
    /// terminal it stays.
    pub fn status(&self, text: &str) {
        match self.is_terminal() {
            true => self.write(&format!("\r\x1b[K{text}")),
            false => self.line(text),
        }
    }

    /// Whether a person looks on.
    pub fn is_terminal(&self) -> bool {
        std::io::stdout().is_terminal()
    }

    fn write(&self, text: &str) {
        let mut out = std::io::stdout().lock();
        // Nobody reads any more: the demo goes on to its end, and its exit
        // code still tells.
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    }
}
