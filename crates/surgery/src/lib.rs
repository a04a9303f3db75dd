//! Layer surgery: run a model's layers in another order, without some of them, or with what they compute changed, and see
//! what comes out.
//!
//! In the order of use: a [`LayerPlan`] is a list of layers to run, an [`Intervention`] a plan and edits of what its
//! layers compute, a [`Sweep`] a family of interventions over an axis, and the [`Executor`] runs many interventions
//! over one corpus at once, doing shared work once, and hands each residual stream to a [`Sink`]. A [`search`] finds the plan
//! that is best for an objective. No weight is copied or moved, and this crate has no metrics.
//!
//! ```
//! use stratigraph_surgery::LayerPlan;
//! let plan = LayerPlan::full(5).swap(2, 3)?;
//! assert_eq!(plan.to_string(), "0-1-3-2-4");
//! assert_eq!("0-1-3-2-4".parse::<LayerPlan>()?, plan);
//! # Ok::<(), stratigraph_surgery::SurgeryError>(())
//! ```

mod batch;
mod budget;
mod calls;
mod corpus;
mod error;
mod executor;
mod incremental;
mod intervention;
mod mergekit;
mod plan;
mod planned;
pub mod search;
mod states;
mod sweep;
mod text;
mod tree;

pub use budget::Budget;
pub use corpus::{CorpusMeans, MeanActivation};
pub use error::{Result, SurgeryError};
pub use executor::{Executor, LastStream, Prepared, Sink};
pub use incremental::IncrementalRun;
pub use intervention::{Change, Intervention};
pub use mergekit::Mergekit;
pub use plan::{LayerPlan, Step};
pub use planned::PlannedModel;
pub use sweep::{Sweep, SweepContext, SweepPoints};
