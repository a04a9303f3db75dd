//! Integration tests of the crate, in one binary.

mod checkpoints;
mod given;
mod job;
mod job_files;
#[cfg(feature = "parquet")]
mod parquet;
#[cfg(feature = "remote")]
mod remote;
mod small;
mod tasks;
