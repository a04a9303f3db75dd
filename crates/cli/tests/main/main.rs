//! The program as its users run it.

mod common;
mod corpora;
mod devices;
mod effects;
mod export;
mod generate;
mod help;
mod killed_measurements;
mod lens;
mod patching;
mod precision;
mod search;
#[cfg(unix)]
mod slurm;
mod study;
mod sweep;
mod tasks;
