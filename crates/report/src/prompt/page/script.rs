//! The page's own script, [`TEXT`], and how its policy allows it, [`source`].

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

/// Moves through tables by the keyboard, shows what a cell holds, colours lenses by other numbers, and draws one head at a time.
pub(super) const TEXT: &str = include_str!("script.js");

/// The source of the content security policy that allows this script and no other.
pub(super) fn source() -> String {
    format!("'sha256-{}'", STANDARD.encode(Sha256::digest(TEXT)))
}
