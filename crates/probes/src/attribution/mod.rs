//! How much the components of the residual stream do for the next token: [`LogitAttribution`], on its logit, and
//! [`DirectEffects`], on its loss; and in one prompt on the logit of a chosen token against another, [`DifferenceParts`].
//!
//! The residual stream after the last layer is the sum of the embedding and of what each sublayer writes. Both measures look
//! only at the path from a component to the unembedding, and not at what later layers make of the component.

mod components;
mod difference;
mod direct;
mod directions;
mod heads;
mod logit;
mod neurons;

pub use difference::{DifferenceParts, LayerParts, attribute_difference};
pub use direct::DirectEffects;
pub use logit::LogitAttribution;
