//! The one integration binary: one module for each promise.

mod tidy;
