//! Sweeps that many processes share, on one machine or on many, and that survive being killed.
//!
//! A [`Job`] is a directory. [`Job::create`] writes a [`JobPlan`] and the token ids into it. The work is cut into
//! steps, each of some windows under some interventions. A [`ShardRun`] does those steps of its [`Shard`] that are not
//! done yet, and writes the results of each to a file, completely or not at all. [`Job::status`] is the progress of all
//! shards together, and [`Job::merge`] gives the result of one run over everything.
//!
//! Apart from sweeps, a job does [measurements](JobPlan::with_measurement) whose parts are additive over windows, such as direct
//! effects, or do not depend on the corpus, such as patching over pairs of prompts. What is derived from several of them is computed
//! when the job is merged.
//!
//! Some interventions need means over the whole corpus. The first process that needs them measures them and writes them to the
//! directory, and all other processes read them, so that every step has the same means.
//!
//! A step is known by its number, not by the process that did it: the number of shards may change at any time, and a step that
//! two processes did counts once.

mod add;
pub(crate) mod files;
mod groups;
mod hash;
mod lenses;
mod means;
mod measured;
mod merge;
mod pairs;
#[cfg(feature = "parquet")]
mod parquet;
mod part;
mod plan;
mod read;
mod record;
mod run;
mod run_steps;
mod shard;
mod status;
mod step;
mod steps;
mod store;
mod values;

pub use groups::JobGrouping;
pub(crate) use hash::hash_bytes;
pub use hash::hash_tokens;
pub use lenses::JobLens;
pub use merge::Merged;
pub use pairs::JobPairs;
pub use part::JobPart;
pub use plan::JobPlan;
pub use record::{JobCorpus, JobIntervention, JobModel, JobSweep, StepSize};
pub use run::ShardRun;
pub use shard::Shard;
pub use status::Status;
pub use store::Job;
