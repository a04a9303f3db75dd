//! Lenses, which read a residual stream as if the model ended there: [`Lens`], the [`LogitLens`] and [`FittedLens`]es.
//!
//! A lens maps the residual stream at a residual position to the last residual stream, which the final norm and the
//! unembedding read. At the last position every lens is the model itself.
//!
//! | lens | the map | fitted by |
//! |---|---|---|
//! | [`LogitLens`] | none | |
//! | [`FixedScaleLens`] | none; the final norm divides by the scale of the last residual stream | |
//! | affine, [`fit_affine`] | `h W + b` | ridge regression of the last stream on the stream |
//! | tuned | `h W + b` | minimising the KL divergence from the model's predictions, by gradients (`stratigraph-train`) |
//! | Jacobian | `J h` | the mean Jacobian of the last stream (`stratigraph-train`) |

mod affine;
mod error;
mod fitted;
mod header;
mod linear_map;
mod logit;
mod open;
mod rows;
mod safetensors_file;
mod torch_file;
mod tuned_files;

pub use affine::{AffineConfig, fit_affine};
pub use error::LensError;
pub use fitted::{FittedLens, LensKind};
pub use header::LensRecord;
pub use linear_map::LinearMap;
pub use logit::{FixedScaleLens, LogitLens};
pub use rows::{Lens, LensReading, LensRows, ReadStream};
