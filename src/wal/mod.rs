//! wal: to come.
