//! Lenses that are fitted by automatic differentiation: [`fit_jacobian`] and [`fit_tuned`].
//!
//! The affine lens needs none: [`fit_affine`](stratigraph_probes::lens::fit_affine). A model is loaded as for a study; only the
//! residual stream carries gradients, and the weights are constants.

mod jacobian;
mod tuned;
mod tuned_data;

pub use jacobian::{JacobianConfig, fit_jacobian};
pub use tuned::{TunedConfig, fit_tuned};
