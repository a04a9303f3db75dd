#![doc = include_str!("../README.md")]

pub use stratigraph_core as core;
pub use stratigraph_hub as hub;
pub use stratigraph_models as models;
pub use stratigraph_probes as probes;
pub use stratigraph_report as report;
pub use stratigraph_stages as stages;
pub use stratigraph_surgery as surgery;

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
mod tasks;

pub use backend::Backend;
pub use device::{DeviceName, guard_remote};
pub use error::{Error, Result};
pub use experiment::Experiment;
pub use memory::Memory;
pub use open::open;
pub use runs::Findings;
pub use study::{Progress, Study, versions};
pub use tasks::{TaskResult, TaskRun};

/// What most programs use.
pub mod prelude {
    pub use crate::core::{ActivationCache, Edit, Hook, NoTap, ResidualModel, Site, Tap, TokenWindows};
    pub use crate::models::{Decoder, Pretrained, Tokenizer};
    pub use crate::probes::{Metric, Readout, Scores};
    pub use crate::surgery::{Executor, LayerPlan, sweep};
    pub use crate::{Backend, Study};
}
