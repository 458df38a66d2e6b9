//! An object as a watch last showed it.

use kube::runtime::watcher;

/// An object as a watch last showed it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) enum Seen<T> {
    /// The watch has shown nothing yet.
    #[default]
    NotYet,
    /// There is no such object.
    Absent,
    /// It looks like this.
    Present(T),
}

impl<T> Seen<T> {
    /// Takes in what the watch of one object shows. An error changes nothing.
    pub(crate) fn see(&mut self, event: Result<Option<T>, watcher::Error>) {
        if let Ok(object) = event {
            *self = object.map_or(Self::Absent, Self::Present);
        }
    }

    /// Whether the watch has shown anything.
    pub(crate) fn is_known(&self) -> bool {
        !matches!(self, Self::NotYet)
    }

    /// The object, if it is there.
    pub(crate) fn object(&self) -> Option<&T> {
        match self {
            Self::Present(object) => Some(object),
            Self::NotYet | Self::Absent => None,
        }
    }
}
