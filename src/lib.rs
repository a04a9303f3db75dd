//! Which layers of a decoder-only language model do what: layers are deleted, swapped and repeated and the damage is measured,
//! the residual stream is read with lenses and probes, and curves over depth become stages of inference.
//!
//! In the order of use: [`open`] finds a checkpoint, on disk or in the hub's cache; its tokenizer makes
//! [`TokenWindows`](core::TokenWindows) of a text; a [`Study`] runs [`Experiment`]s on a model and gives [`Findings`], curves
//! by name with their standard errors; [`stages::Segmentation`] finds the stages of a profile made of them, and
//! [`report::OutDir`] writes it all. What takes hours is a [`job`], done in shards.
//!
//! ```no_run
//! use stratigraph::prelude::*;
//!
//! let checkpoint = stratigraph::open("models/tiny", |_| {})?;
//! let ids = checkpoint.tokenizer()?.encode(&std::fs::read_to_string("text.txt")?)?;
//! let windows = TokenWindows::new(&ids, 128)?.take(8);
//! let model = checkpoint.load(&Backend::Flex.device()?)?;
//! let findings = Study::new(&model).run(&windows)?;
//! println!("{:?} nats", findings.curves["delete_kl"].mean);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Each crate of the workspace is a module here, and can be depended on alone. A model of your own takes part by implementing
//! [`core::ResidualModel`]. Names and units of all numbers are defined in the repository's `docs/definitions.md`.

pub use stratigraph_core as core;
pub use stratigraph_hub as hub;
pub use stratigraph_models as models;
pub use stratigraph_probes as probes;
pub use stratigraph_report as report;
pub use stratigraph_stages as stages;
pub use stratigraph_surgery as surgery;
pub use stratigraph_tasks as tasks;

mod anatomy;
mod backend;
mod device;
mod error;
mod experiment;
pub mod job;
mod lexical;
mod memory;
mod open;
mod runs;
mod scoring;
mod share;
mod study;
mod task_run;

pub use backend::Backend;
pub use device::{DeviceName, guard_remote};
pub use error::{Error, Result};
pub use experiment::Experiment;
pub use memory::Memory;
pub use open::open;
pub use runs::Findings;
pub use study::{Progress, Study, versions};
pub use task_run::{TaskResult, TaskRun};

/// What most programs use.
pub mod prelude {
    pub use crate::core::{ActivationCache, Edit, Hook, NoTap, ResidualModel, Site, Tap, TokenWindows};
    pub use crate::models::{Decoder, Pretrained, Tokenizer};
    pub use crate::probes::metrics::{LogitDifference, Metric, Metrics};
    pub use crate::probes::readout::Readout;
    pub use crate::probes::scores::Scores;
    pub use crate::surgery::{Executor, LayerPlan, sweep};
    pub use crate::{Backend, Study};
}

/// The README's code, compiled as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
