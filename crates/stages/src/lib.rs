//! What a study of a model found, as numbers over layers: [`Curve`]s, [`Intervention`]s and the [`Profile`] of them.
//!
//! No tensor enters here: everything is f64 and serialises.

mod profile;

pub use profile::{CorpusRecord, Curve, Estimate, Intervention, InterventionKind, ModelRecord, Profile};
