//! What a study of a model found, as numbers over layers: [`Curve`]s, [`Intervention`]s and the [`Profile`] of them.
//!
//! No tensor enters here: everything is f64 and serialises.

mod profile;

pub use profile::{Axis, CorpusRecord, Curve, Estimate, Intervention, InterventionKind, Matrix, ModelRecord, Profile};
