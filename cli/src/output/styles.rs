//! Colours. Text gets them only where a terminal shows them; manifests never do.

use std::{fmt, io};

use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};

/// Something that went well, or is added.
pub(crate) const GOOD: Style = AnsiColor::Green.on_default();
/// Something to look at.
pub(crate) const WARNING: Style = AnsiColor::Yellow.on_default();
/// Something wrong, or removed.
pub(crate) const BAD: Style = AnsiColor::Red.on_default();
/// A place in a file or document.
pub(crate) const PLACE: Style = AnsiColor::Cyan.on_default();
/// A heading.
pub(crate) const HEADING: Style = Style::new().bold();

/// Whether text that is printed may have colours.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Colours(bool);

impl Colours {
    /// No colours.
    #[cfg(test)]
    pub(crate) const NONE: Self = Self(false);

    /// As standard output and the environment (`NO_COLOR`, `CLICOLOR`, `TERM`) have it.
    pub(crate) fn of_output() -> Self {
        Self(AutoStream::choice(&io::stdout()) != ColorChoice::Never)
    }

    /// The text in the style, if there are colours.
    pub(crate) fn paint<T: fmt::Display>(self, style: Style, text: T) -> Painted<T> {
        Painted { text, style: if self.0 { style } else { Style::new() } }
    }
}

/// Text in a style.
pub(crate) struct Painted<T> {
    text: T,
    style: Style,
}

impl<T: fmt::Display> fmt::Display for Painted<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { text, style } = self;
        write!(formatter, "{style}{text}{style:#}")
    }
}
