//! `portplex dev`: a whole sysplex on this machine, under real connections and real crashes.

mod checker;
mod client;
mod clock;
mod kernel;
mod serve;
mod wire;
