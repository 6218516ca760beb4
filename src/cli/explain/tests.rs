//! The property that binds `explain` to the structure: for every port they say the same.
#![forbid(unsafe_code)]
