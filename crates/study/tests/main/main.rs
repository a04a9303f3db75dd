//! Integration tests of the crate, in one binary.

mod by_hand;
mod checkpoints;
mod decoders;
mod families;
mod given;
mod heads;
mod job;
mod job_files;
mod job_means;
mod job_values;
mod knock_out_words;
mod measures;
mod neuron_sets;
#[cfg(feature = "parquet")]
mod parquet;
mod reference_edits;
mod refused;
#[cfg(feature = "remote")]
mod remote;
mod small;
mod tasks;
