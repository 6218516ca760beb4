//! Whether a caller's connection is still there.
//!
//! Two machines with one machine id (a cloned VM), or two agents of one stack, are told apart only
//! by their processes; which of them is the stack can only be said while the first is still
//! connected. So whoever attaches hands in a [`Presence`]: it is alive as long as the [`Present`]
//! that it was taken from, which is kept by what stands for the connection: a
//! [`Connection`](super::Connection) in this process, the socket's server otherwise.
#![forbid(unsafe_code)]

use std::fmt;
use std::sync::Arc;
use std::sync::Weak;

/// Kept for as long as the connection stands. Copies are the same connection.
#[derive(Clone, Default)]
pub struct Present(Arc<()>);

/// Whether the connection that it was taken from still stands.
#[derive(Clone, Default)]
pub struct Presence(Weak<()>);

impl Present {
    /// A connection that was just made.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What the facility is told of it.
    #[must_use]
    pub fn presence(&self) -> Presence {
        Presence(Arc::downgrade(&self.0))
    }
}

impl Presence {
    /// No connection: such a caller holds off nobody.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// Whether the connection still stands.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.0.strong_count() > 0
    }
}

impl fmt::Debug for Present {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Present")
    }
}

impl fmt::Debug for Presence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Presence").field(&self.is_alive()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_presence_ends_with_the_last_copy_of_its_connection() {
        assert!(!Presence::none().is_alive());
        let present = Present::new();
        let (copy, presence) = (present.clone(), present.presence());
        drop(present);
        assert!(presence.is_alive());
        drop(copy);
        assert!(!presence.is_alive());
    }
}
