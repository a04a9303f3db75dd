//! Integration tests of the crate, in one binary.

mod checkpoints;
mod decoders;
mod effects;
mod effects_of_heads;
mod families;
mod given;
mod job;
mod job_files;
mod measures;
#[cfg(feature = "parquet")]
mod parquet;
mod reference;
mod refused;
#[cfg(feature = "remote")]
mod remote;
mod small;
mod tasks;
