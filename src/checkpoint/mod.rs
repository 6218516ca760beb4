//! checkpoint: to come.
