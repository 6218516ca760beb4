//! The structure against the plain model, with every choice of a sequence made by the input.

use crate::model;

/// One sequence: it ends with the input's last byte.
pub fn run(input: &[u8]) {
    model::run_chosen(input);
}
