//! Checkpoints of the Hugging Face hub: out of the local cache, or downloaded into it.
//!
//! In the order of use: a [`HubId`] names a model, [`Hub`] knows where the cache lies and whom to ask, and gives a
//! [`Snapshot`], a directory that holds its configuration and all its weights, and its tokenizer where the hub had one.
//! Nothing here knows of tensors.
//!
//! ```no_run
//! use stratigraph_hub::{Hub, HubId};
//!
//! let id: HubId = "EleutherAI/pythia-70m@step1000".parse()?;
//! let snapshot = Hub::from_env()?.get(&id, |download| println!("{} {}", download.file, download.received))?;
//! println!("{}", snapshot.path().display());
//! # Ok::<(), stratigraph_hub::HubError>(())
//! ```
//!
//! The cache is the one that `huggingface_hub` keeps, in the same layout, so each finds what the other has downloaded.
//! A file becomes part of a snapshot only when it is whole: its size, and the hash of a large file, are compared with
//! what the hub says. Until then it lies in a folder of its own, where the next attempt goes on with it.

mod cache;
#[cfg(feature = "download")]
mod download;
mod error;
mod hub;
mod id;

pub use cache::Snapshot;
pub use error::{HubError, Result};
pub use hub::{Download, Hub};
pub use id::HubId;
