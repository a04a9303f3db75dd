//! Layer surgery: run a model's layers in another order, or without some of them, and see what comes out.
//!
//! In the order of use: a [`LayerPlan`] is a list of layers to run, [`sweep`] makes the usual families of plans, and
//! the [`Executor`] runs many plans over one corpus at once, doing shared work once, and hands each residual stream to
//! a [`Sink`]. No weight is copied or moved, and nothing here knows of metrics.
//!
//! ```
//! use stratigraph_surgery::LayerPlan;
//! let plan = LayerPlan::full(5).swap(2, 3)?;
//! assert_eq!(plan.to_string(), "0-1-3-2-4");
//! assert_eq!("0-1-3-2-4".parse::<LayerPlan>()?, plan);
//! # Ok::<(), stratigraph_surgery::SurgeryError>(())
//! ```

mod ablation;
mod budget;
mod calls;
mod error;
mod executor;
mod plan;
mod rearranged;
pub mod sweep;
mod text;
mod tree;

pub use ablation::Ablation;
pub use budget::Budget;
pub use error::{Result, SurgeryError};
pub use executor::{Executor, Prepared, Sink};
pub use plan::{LayerPlan, Step};
pub use rearranged::Rearranged;
