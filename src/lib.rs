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
mod error;
mod experiment;
mod lexical;
mod memory;
mod open;
mod study;
mod tasks;

pub use backend::Backend;
pub use error::{Error, Result};
pub use experiment::Experiment;
pub use memory::Memory;
pub use open::open;
pub use study::{Findings, Progress, Study, versions};
pub use tasks::{TaskResult, TaskRun};

/// What most programs use.
pub mod prelude {
    pub use crate::core::{ActivationCache, Edit, Hook, NoTap, ResidualModel, Site, Tap, TokenWindows};
    pub use crate::models::{Decoder, Pretrained, Tokenizer};
    pub use crate::probes::{Metric, Readout, Scores};
    pub use crate::surgery::{Executor, LayerPlan, sweep};
    pub use crate::{Backend, Study};
}
