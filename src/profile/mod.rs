//! profile: to come.
