//! Models out of the cache, and downloads into it.
#![cfg(unix)]

mod cache;
#[cfg(feature = "download")]
mod download;
#[cfg(feature = "download")]
mod server;

use stratigraph_hub::HubId;

fn id(text: &str) -> HubId {
    text.parse().unwrap()
}
