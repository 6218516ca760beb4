//! The stack: ports from its groups, through crashes of the facility.
