//! Text that a language model writes, clean or under an intervention.
//!
//! In the order of use: [`Sampling`] says how a token is chosen, a [`Generator`] continues prompts under an
//! [`Intervention`](stratigraph_surgery::Intervention) until something of [`StopReason`] happens and shows each [`Event`] on the
//! way, and a [`Generation`] is what came out. A [`Comparison`] puts it beside what the unchanged model writes. A
//! [`ChatTemplate`](chat::ChatTemplate) makes a prompt of a conversation.
//!
//! Keys and values are kept for each slot of the plan, so that a step runs the new token alone, whatever the plan and its
//! edits are; see [`IncrementalRun`](stratigraph_surgery::IncrementalRun).

pub mod chat;
mod compare;
mod error;
mod generation;
mod generator;
mod logits;
mod row;
mod sampler;
mod sampling;
mod stop_strings;
mod text_stream;

pub use compare::{ComparedToken, Comparison};
pub use error::{GenerateError, Result};
pub use generation::{Event, Generation, StopReason};
pub use generator::Generator;
pub use sampler::Sampler;
pub use sampling::Sampling;
pub use text_stream::TextStream;
