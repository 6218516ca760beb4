//! Every row of the recovery table, on real damaged files: the verdict, and that a refused open
//! changes no byte.

mod log;
mod manifest;
mod store;
