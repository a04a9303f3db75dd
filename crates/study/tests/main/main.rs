//! Integration tests of the crate, in one binary.

#[macro_use]
mod wrapped;

mod blocks;
mod by_hand;
mod by_tokens;
mod checkpoints;
mod decoders;
mod effects;
mod effects_of_heads;
mod families;
mod generative;
mod given;
mod heads;
mod job;
mod job_files;
mod job_lenses;
mod job_means;
mod job_measurements;
mod job_values;
mod knock_out_words;
mod lens;
mod measures;
mod mutations;
mod neuron_sets;
mod not_finite;
#[cfg(feature = "parquet")]
mod parquet;
mod patching;
mod prompt;
mod reference_edits;
mod reference_effects;
mod refused;
#[cfg(feature = "remote")]
mod remote;
mod search;
mod search_refused;
mod self_check;
mod skip_effects;
mod small;
mod steering;
mod task_scoring;
mod tasks;
mod windows_that_count;
