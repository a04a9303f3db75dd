//! Sweeps that many processes share, on one machine or on many, and that survive being killed.
//!
//! A [`Job`] is a directory. [`Job::create`] puts into it what is to be done, a [`JobPlan`], and the token ids. The work is cut
//! into steps, each some windows under some plans; a [`ShardRun`] does those of its [`Shard`] that are not done yet, and writes
//! what it measured of each, a whole file or none. [`Job::status`] tells how far all of them are together, and [`Job::merge`]
//! puts together what one run over everything would have given.
//!
//! A step is known by its number, not by who did it: shards may be cut anew at any time, and a step that two processes did
//! counts once.

mod hash;
mod merge;
mod plan;
mod run;
mod shard;
mod store;
#[cfg(feature = "parquet")]
mod table;

pub use hash::{hash_checkpoint, hash_tokens};
pub use merge::{Merged, Status};
pub use plan::{JobCorpus, JobModel, JobPlan, StepSize};
pub use run::ShardRun;
pub use shard::Shard;
pub use store::Job;
