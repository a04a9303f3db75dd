//! Studies of a language model: surgery and probes over a corpus, on one device or many, at once or in shards.
//!
//! In the order of use: a [`Backend`] or a [`DeviceName`] opens a device, a [`Study`] runs [`Measurement`]s on a model
//! and its windows, and its [`Findings`] become a profile. A [`Sweep`](stratigraph_surgery::Sweep) is a measurement;
//! others are in [`measurements`]. A [`PromptStudy`] reads one prompt, layer by layer. [`TaskRun`] scores benchmarks under
//! interventions, and [`GenerativeRun`] those that are answered by texts. Sweeps that take hours can run as a [`job`], in shards.
//!
//! ```
//! use stratigraph_corpus::{Corpus, Windows};
//! use stratigraph_models::Checkpoint;
//! use stratigraph_study::{Backend, Study};
//! use stratigraph_surgery::Sweep;
//!
//! let checkpoint = Checkpoint::open("../../models/tiny")?;
//! let (model, tokenizer) = (checkpoint.load(&Backend::Flex.device()?)?, checkpoint.tokenizer()?);
//! let windows = Corpus::open("../../examples/data/sample.txt")?.windows(&tokenizer, Windows::of(32).count(2).first())?;
//! let findings = Study::new(&model).add(Sweep::delete()).run(&windows)?;
//! let kl = findings.curve("delete_kl")?; // nats, over layers
//! assert!(kl.mean[0] > kl.mean[6], "the first layer of this model is its most important one");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod adapters;
mod backend;
mod derived;
mod device;
mod device_error;
mod device_info;
mod device_work;
mod differences;
mod error;
mod findings;
mod finite;
mod generative_run;
mod grouped;
pub mod job;
mod measurement;
pub mod measurements;
mod memory;
mod names;
mod planned_work;
mod product_rate;
mod progress;
mod prompt;
mod records;
mod run_scores;
mod runs;
mod scoring;
pub mod search;
mod self_check;
mod study;
mod task_run;
mod unigram;
mod window_measures;
mod work;
mod workers;

pub use backend::Backend;
pub use derived::{Derived, SweepDifference};
pub use device::{DeviceName, GraphicsApi, guard_remote};
pub use device_error::DeviceError;
pub use device_info::{DeviceInfo, DeviceKind};
pub use device_work::DeviceWork;
pub use error::{Result, StudyError};
pub use findings::{Findings, measured_curve, paired_difference};
pub use generative_run::{GenerativeResult, GenerativeRun};
pub use measurement::{Measurement, Needs, Observation, StudyContext};
pub use memory::Memory;
pub use product_rate::product_rate;
pub use progress::{Progress, block_work, pass_work, readout_work};
pub use prompt::PromptStudy;
pub use self_check::SelfCheck;
pub use study::{Study, versions};
pub use task_run::{TaskResult, TaskRun};
pub use window_measures::WindowMeasures;
pub use work::{CollectScores, InterventionScores, MetricUnit, OwnRun, OwnWork, WindowRun, WindowWork, Work};
